package io.spillway.jobs.replay;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import io.spillway.jobs.InvalidInputException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LinesTest {
  @TempDir Path folder;

  @Test
  void endsLinesAtLineFeedsOnly() {
    assertThat(split("a\rb\r\nc\u0085d\u2028e\n")).containsExactly("a\rb\r", "c\u0085d\u2028e");
  }

  @Test
  void countsEmptyLinesAndALastLineWithoutLineFeed() {
    assertThat(split("\n\na\n\nb")).containsExactly("", "", "a", "", "b");
    assertThat(split("\n")).containsExactly("");
    assertThat(split("a")).containsExactly("a");
  }

  @Test
  void keepsBytesThatAreNoText() {
    byte[] content = {(byte) 0xff, 0, '\n', (byte) 0xc3};

    assertThat(Lines.split(content)).isEqualTo(new byte[][] {{(byte) 0xff, 0}, {(byte) 0xc3}});
  }

  @Test
  void refusesAnEmptyFile() throws Exception {
    Path empty = Files.createFile(folder.resolve("empty"));

    assertRefused(empty, 65);
  }

  @Test
  void refusesAFileThatCannotBeRead() {
    assertRefused(folder.resolve("missing"), 66);
    assertRefused(folder, 66);
  }

  @Test
  void refusesAFileThatNoTaskManagerCouldHoldBeforeItIsRead() throws Exception {
    Path large = sparse(256 << 20 | 1);

    assertRefused(large, 65);
    assertThatThrownBy(() -> ReplaySource.checkInput(large.toString()))
        .hasMessageContaining("256 MB");
  }

  @Test
  void checksAFileWithoutReadingItWhole() throws Exception {
    Path large = sparse(256 << 20);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    long before = threads.getCurrentThreadAllocatedBytes();
    ReplaySource.checkInput(large.toString());

    assertThat(threads.getCurrentThreadAllocatedBytes() - before).isLessThan(1 << 20);
  }

  /** A file of so many zeros that take no room on the disk. */
  private Path sparse(long size) throws IOException {
    Path file = folder.resolve("sparse");
    try (RandomAccessFile content = new RandomAccessFile(file.toFile(), "rw")) {
      content.setLength(size);
    }
    return file;
  }

  private static void assertRefused(Path path, int exitCode) {
    assertRefused(() -> Lines.read(path), path, exitCode);
    assertRefused(() -> ReplaySource.checkInput(path.toString()), path, exitCode);
  }

  private static void assertRefused(ThrowingCallable input, Path path, int exitCode) {
    assertThatThrownBy(input)
        .hasMessageContaining(path.toString())
        .asInstanceOf(InstanceOfAssertFactories.type(InvalidInputException.class))
        .extracting(InvalidInputException::exitCode)
        .isEqualTo(exitCode);
  }

  private static List<String> split(String content) {
    return Arrays.stream(Lines.split(content.getBytes(StandardCharsets.UTF_8)))
        .map(line -> new String(line, StandardCharsets.UTF_8))
        .toList();
  }
}
