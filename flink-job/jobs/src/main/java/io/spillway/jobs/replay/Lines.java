package io.spillway.jobs.replay;

import io.spillway.jobs.InvalidInputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * The lines of a text file. Lines end at {@code \n} only: a {@code \r} belongs to its line, an
 * empty line is a line, and a last line without {@code \n} counts.
 */
final class Lines {
  /**
   * The largest file that is taken. A TaskManager of 2 GB has a heap of 1.3 GB. While a file is
   * split, its content is there twice, and each line costs some 24 bytes more (an array's header,
   * its padding, the reference to it): 512 MB, and 400 MB for lines of 16 bytes. Longer lines leave
   * more room for everything else that lives there, shorter ones less. Each subtask of the source
   * holds the lines by itself.
   */
  private static final int MOST_MB = 256;

  private Lines() {}

  /**
   * Says whether a file can be taken, without reading more than a byte.
   *
   * @throws InvalidInputException if it cannot be read, has no byte, or is too large
   */
  static void check(Path path) throws InvalidInputException {
    try (InputStream content = Files.newInputStream(path)) {
      if (content.read() < 0) {
        throw new InvalidInputException(
            InvalidInputException.DATA,
            "the input " + path + " is empty: give --input a file with at least one line");
      }
      if (Files.size(path) > (long) MOST_MB << 20) {
        throw tooLarge(path, "is larger than %d MB".formatted(MOST_MB));
      }
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  /**
   * Reads a file whole.
   *
   * @return its lines, at least one
   * @throws InvalidInputException if it cannot be read, has no byte, or is too large
   */
  static byte[][] read(Path path) throws InvalidInputException {
    check(path);
    try {
      return split(Files.readAllBytes(path));
    } catch (IOException e) {
      throw unreadable(path, e);
    } catch (OutOfMemoryError e) {
      throw tooLarge(path, "has more lines than the heap of this TaskManager can hold");
    }
  }

  private static InvalidInputException unreadable(Path path, IOException why) {
    return new InvalidInputException(
        InvalidInputException.NO_INPUT,
        "cannot read the input %s (%s): give --input a readable text file".formatted(path, why));
  }

  private static InvalidInputException tooLarge(Path path, String why) {
    return new InvalidInputException(
        InvalidInputException.DATA,
        "the input %s %s: give --input a part of it, the replay starts over at its end"
            .formatted(path, why));
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
