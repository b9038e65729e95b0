package io.spillway.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import org.HdrHistogram.Histogram;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LatencyReportTest {
  @TempDir Path folder;

  @Test
  void addsUpLinesOfASecondAndSecondsOfAPhase() throws Exception {
    Path log =
        log(
            line("local", 1_000, 10_000, 10_000),
            line("local", 1_000, 20_000),
            line("local", 2_000, 30_000),
            line("local", 3_000, 500_000),
            line("cloud", 2_000, 90_000));

    assertThat(LatencyReport.report(log, "before:1000-3000,after:3000-4000"))
        .isEqualTo(
            "{\"local\":{"
                + "\"before\":{\"count\":4,\"p50\":10.007,\"p99\":30.015,\"max\":30.015},"
                + "\"after\":{\"count\":1,\"p50\":500.223,\"p99\":500.223,\"max\":500.223}},"
                + "\"cloud\":{"
                + "\"before\":{\"count\":1,\"p50\":90.047,\"p99\":90.047,\"max\":90.047},"
                + "\"after\":{\"count\":0,\"p50\":null,\"p99\":null,\"max\":null}},"
                + "\"seconds\":["
                + "{\"due_ms\":2000,\"lane\":\"cloud\",\"count\":1,\"p50\":90.047,\"p99\":90.047,\"max\":90.047},"
                + "{\"due_ms\":1000,\"lane\":\"local\",\"count\":3,\"p50\":10.007,\"p99\":20.015,\"max\":20.015},"
                + "{\"due_ms\":2000,\"lane\":\"local\",\"count\":1,\"p50\":30.015,\"p99\":30.015,\"max\":30.015},"
                + "{\"due_ms\":3000,\"lane\":\"local\",\"count\":1,\"p50\":500.223,\"p99\":500.223,\"max\":500.223}],"
                + "\"skipped_lines\":0}");
  }

  @Test
  void countsLinesThatAKilledProcessLeftHalfWritten() throws Exception {
    String whole = line("local", 1_000, 10_000);
    Path log = log(whole.substring(0, whole.length() / 2), whole, "", "local\tx\tx", "other\t1\tx");

    assertThat(LatencyReport.report(log, "all:0-9999"))
        .contains("\"all\":{\"count\":1,")
        .contains("\"skipped_lines\":4");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "a", "a:1", "a:1-", "a:1-2,", "a b:1-2", "\":1-2", "a:1-2x"})
  void refusesPhasesThatAreNone(String phases) throws Exception {
    Path log = log();

    assertThatThrownBy(() -> LatencyReport.report(log, phases))
        .asInstanceOf(InstanceOfAssertFactories.type(InvalidInputException.class))
        .extracting(InvalidInputException::exitCode)
        .isEqualTo(64);
  }

  @Test
  void saysThatTheLogIsMissing() {
    assertThatThrownBy(() -> LatencyReport.report(folder.resolve("none"), "a:1-2"))
        .asInstanceOf(InstanceOfAssertFactories.type(InvalidInputException.class))
        .extracting(InvalidInputException::exitCode)
        .isEqualTo(66);
  }

  private Path log(String... lines) throws Exception {
    return Files.write(folder.resolve("latency.tsv"), List.of(lines));
  }

  private static String line(String lane, long dueMs, long... microseconds) {
    Histogram histogram = new Histogram(3);
    Arrays.stream(microseconds).forEach(histogram::recordValue);
    ByteBuffer buffer = ByteBuffer.allocate(histogram.getNeededByteBufferCapacity());
    int length = histogram.encodeIntoCompressedByteBuffer(buffer);
    byte[] encoded = Arrays.copyOf(buffer.array(), length);
    return lane + "\t" + dueMs + "\t" + Base64.getEncoder().encodeToString(encoded);
  }
}
