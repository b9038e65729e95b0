package io.spillway.valve.latency;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.spillway.valve.ValveOptions;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.DataFormatException;
import org.HdrHistogram.Histogram;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.IllegalConfigurationException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Latencies are recorded, drained and logged. */
class LatencyTest {

  @BeforeEach
  void forgetLatenciesOfOtherTests() {
    LaneLatency.drain(Lane.LOCAL);
    LaneLatency.drain(Lane.CLOUD);
  }

  private static Histogram decode(byte[] histogram) {
    try {
      return Histogram.decodeFromCompressedByteBuffer(ByteBuffer.wrap(histogram), 0);
    } catch (DataFormatException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void latencyCountsFromWhenTheRecordWasDue() {
    LaneLatency.of(Lane.LOCAL, 10_000, (String) null).record(5_000, 15_020, 1);

    Histogram histogram = decode(LaneLatency.drain(Lane.LOCAL));
    assertThat(histogram.getTotalCount()).isEqualTo(1);
    assertThat(histogram.getMaxValue()).isBetween(20_000L, 20_200L);
    assertThat(LaneLatency.drain(Lane.CLOUD)).isNull();
  }

  @Test
  void aDrainTakesWhatAllSubtasksRecordedOnce() {
    LaneLatency one = LaneLatency.of(Lane.LOCAL, 0, (String) null);
    LaneLatency two = LaneLatency.of(Lane.LOCAL, 0, (String) null);
    one.record(0, 1, 1);
    two.record(0, 2, 5);
    one.record(0, 3, 1);
    assertThat(decode(LaneLatency.drain(Lane.LOCAL)).getTotalCount()).isEqualTo(7);
    assertThat(LaneLatency.drain(Lane.LOCAL)).isNull();
    one.record(0, 4, 1);
    assertThat(decode(LaneLatency.drain(Lane.LOCAL)).getTotalCount()).isEqualTo(1);
  }

  @Test
  void aRecordThatIsEarlyOrVeryLateStillCounts() {
    LaneLatency lane = LaneLatency.of(Lane.LOCAL, 0, (String) null);
    lane.record(1_000, 0, 1);
    lane.record(Long.MIN_VALUE / 2, 0, 1);

    Histogram histogram = decode(LaneLatency.drain(Lane.LOCAL));
    assertThat(histogram.getMinValue()).isZero();
    assertThat(histogram.getTotalCount()).isEqualTo(2);
  }

  @Test
  void theLogHasALineForEachLaneAndDueSecond(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("latency.log");
    LatencyLog log = new LatencyLog(file, look -> {});
    LaneLatency local = LaneLatency.of(Lane.LOCAL, 0, log);
    LaneLatency cloud = LaneLatency.of(Lane.CLOUD, 0, log);
    local.record(-1, 10, 2);
    local.record(1_999, 2_005, 3);
    cloud.record(1_000, 2_000, 4);
    log.flush();
    local.record(1_500, 1_600, 1);
    log.flush();
    log.flush();

    Map<String, Long> counts = new TreeMap<>();
    List<String> lines = Files.readAllLines(file);
    for (String line : lines) {
      String[] columns = line.split("\t", -1);
      counts.merge(
          columns[0] + " " + columns[1],
          decode(Base64.getDecoder().decode(columns[2])).getTotalCount(),
          Long::sum);
    }
    assertThat(lines).hasSize(4);
    assertThat(counts).isEqualTo(Map.of("local -1000", 2L, "local 1000", 4L, "cloud 1000", 4L));
  }

  @Test
  void aDueSecondIsWrittenOnceWhenNothingMoreCame(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("latency.log");
    ArrayDeque<Runnable> looks = new ArrayDeque<>();
    LaneLatency lane = LaneLatency.of(Lane.CLOUD, 0, new LatencyLog(file, looks::add));
    lane.record(0, 10, 1);
    for (int i = 0; i < 10; i++) {
      // Records of this second keep coming, but no more of the one before.
      lane.record(1_000, 1_010, 1);
      looks.remove().run();
    }
    assertThat(Files.readAllLines(file)).hasSize(1).first().asString().startsWith("cloud\t0\t");

    while (!looks.isEmpty()) {
      looks.remove().run();
    }
    List<String> lines = Files.readAllLines(file);
    assertThat(lines).hasSize(2);
    assertThat(decode(Base64.getDecoder().decode(lines.get(1).split("\t")[2])).getTotalCount())
        .isEqualTo(10);
    lane.record(1_500, 1_510, 1);
    assertThat(looks).as("looks for what comes later").hasSize(1);
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "many"})
  void theSampleMustBeANumberOfAtLeastOne(String sample) {
    Configuration options =
        Configuration.fromMap(Map.of(ValveOptions.LATENCY_SAMPLE.key(), sample));
    assertThatThrownBy(() -> MeasuredTrigger.of(options))
        .isInstanceOf(IllegalConfigurationException.class)
        .hasMessageContaining("latency.sample");
  }
}
