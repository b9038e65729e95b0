package io.spillway.jobs.replay;

import io.spillway.jobs.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * The lines of a text file. Lines end at {@code \n} only: a {@code \r} belongs to its line, an
 * empty line is a line, and a last line without {@code \n} counts.
 */
final class Lines {
  private Lines() {}

  /**
   * Reads a file whole.
   *
   * @return its lines, at least one
   * @throws InvalidInputException if it cannot be read or has no byte
   */
  static byte[][] read(Path path) throws InvalidInputException {
    byte[] content;
    try {
      content = Files.readAllBytes(path);
    } catch (IOException | OutOfMemoryError e) {
      throw new InvalidInputException(
          InvalidInputException.NO_INPUT,
          "cannot read the input %s (%s): give --input a readable text file of less than 2 GB"
              .formatted(path, e));
    }
    if (content.length == 0) {
      throw new InvalidInputException(
          InvalidInputException.DATA,
          "the input " + path + " is empty: give --input a file with at least one line");
    }
    return split(content);
  }

  /** Splits a file's content, of at least one byte. */
  static byte[][] split(byte[] content) {
    int count = content[content.length - 1] == '\n' ? 0 : 1;
    for (byte each : content) {
      if (each == '\n') {
        count++;
      }
    }
    byte[][] lines = new byte[count][];
    int start = 0;
    for (int line = 0; line < count; line++) {
      int end = start;
      while (end < content.length && content[end] != '\n') {
        end++;
      }
      lines[line] = Arrays.copyOfRange(content, start, end);
      start = end + 1;
    }
    return lines;
  }
}
