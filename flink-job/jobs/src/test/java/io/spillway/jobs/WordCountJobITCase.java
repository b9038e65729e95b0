package io.spillway.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.spillway.jobs.replay.Profile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WordCountJobITCase {
  private static final int SLOTS = 3;

  @RegisterExtension
  private static final MiniClusterExtension CLUSTER =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(SLOTS)
              .build());

  private static final List<String> LINES =
      List.of("To be, or not\r", "", "to BE", "...", "the \u212aelvin sign", "question");

  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({"off,1,1000", "off,3,250", "on,1,1000", "on,2,400"})
  void countsWhatPlainCountingCounts(String valve, int parallelism, long windowMs)
      throws Exception {
    WordCountOptions options =
        options("--valve", valve, "--parallelism", "" + parallelism, "--window", windowMs + "ms");

    run(options);

    assertThat(recordsPerWindow()).isEqualTo(expectedRecords(options));
    assertThat(counts()).isEqualTo(expectedCounts(options));
  }

  @Test
  void theBooksOfAJobWithoutASidecarSayThatAllWasKept() throws Exception {
    WordCountOptions options = options("--valve", "on", "--parallelism", "2");

    run(options);

    List<String> books = lines("ledger");
    assertThat(books).allMatch(line -> line.startsWith("{\"type\":\"books\""));
    assertThat(books).filteredOn(line -> line.contains("\"final\":true")).hasSize(2);
    assertThat(sum(books, "received")).isEqualTo(options.profile().records());
    assertThat(sum(books, "kept")).isEqualTo(options.profile().records());
  }

  @ParameterizedTest
  @CsvSource({
    "batch.linger, -Dspillway.valve.batch.linger=0ms",
    "latency.sample, -Dspillway.valve.latency.sample=0",
    "latency.sample, -Dspillway.valve.latency.sample=many",
    "latency.sample, --valve off -Dspillway.valve.latency.sample=0"
  })
  void refusesValveOptionsOutOfTheirBounds(String option, String given) throws Exception {
    WordCountOptions options = options(given.split(" "));

    assertThatThrownBy(() -> run(options))
        .hasMessageContaining("spillway.valve." + option)
        .hasMessageNotContaining("\n")
        .asInstanceOf(InstanceOfAssertFactories.type(InvalidInputException.class))
        .extracting(InvalidInputException::exitCode)
        .isEqualTo(InvalidInputException.CONFIG);
  }

  private WordCountOptions options(String... more) throws Exception {
    Path input = Files.writeString(folder.resolve("in.txt"), String.join("\n", LINES));
    String[] required = {
      "--input",
      input.toString(),
      "--profile",
      "400:1s,0:300ms,1k:500ms,33.3:1s",
      "--start",
      "-700",
      "--lead",
      "0s",
      "--output",
      folder.toUri().toString(),
      "--job",
      "words",
      "--checkpoint-interval",
      "100ms"
    };
    return WordCountOptions.parse(
        Stream.concat(Arrays.stream(required), Arrays.stream(more)).toArray(String[]::new));
  }

  private static void run(WordCountOptions options) throws Exception {
    // A job that fails shall fail the test, not start anew.
    Configuration given = new Configuration().set(RestartStrategyOptions.RESTART_STRATEGY, "none");
    StreamExecutionEnvironment env = WordCountJob.environment(options, given);
    WordCountJob.build(env, options, ReplayPlan.of(options, Instant.now()));
    env.execute(options.job());
  }

  private Map<Long, Long> recordsPerWindow() throws Exception {
    Map<Long, Long> sums = new TreeMap<>();
    for (String line : lines("local")) {
      String[] columns = line.split("\t", -1);
      assertThat(columns).hasSize(5);
      sums.merge(Long.parseLong(columns[0]), Long.parseLong(columns[1]), Long::sum);
    }
    return sums;
  }

  private Map<String, Long> counts() throws Exception {
    Map<String, Long> counts = new TreeMap<>();
    for (String line : lines("local")) {
      String[] columns = line.split("\t", -1);
      if (!columns[4].isEmpty()) {
        counts.merge(columns[0] + " " + columns[4], Long.parseLong(columns[3]), Long::sum);
      }
    }
    return counts;
  }

  private List<String> lines(String part) throws Exception {
    try (Stream<Path> files = Files.list(folder.resolve("words").resolve(part))) {
      // Names that start with a dot are not committed.
      List<Path> committed =
          files.filter(file -> !file.getFileName().toString().startsWith(".")).toList();
      StringBuilder text = new StringBuilder();
      for (Path file : committed) {
        text.append(Files.readString(file));
      }
      return text.toString().lines().toList();
    }
  }

  private static long sum(List<String> books, String field) {
    return books.stream()
        .flatMap(line -> Stream.of(line.split("\"" + field + "\":")).skip(1))
        .mapToLong(rest -> Long.parseLong(rest.split("[,}]", 2)[0]))
        .sum();
  }

  private static Map<Long, Long> expectedRecords(WordCountOptions options) {
    Map<Long, Long> records = new TreeMap<>();
    Profile profile = options.profile();
    for (long record = 0; record < profile.records(); record++) {
      records.merge(windowOf(options, record), 1L, Long::sum);
    }
    return records;
  }

  private static Map<String, Long> expectedCounts(WordCountOptions options) {
    Map<String, Long> counts = new TreeMap<>();
    for (long record = 0; record < options.profile().records(); record++) {
      String line = LINES.get((int) (record % LINES.size()));
      String lower = line.toLowerCase(Locale.ROOT);
      for (String word : lower.split("[^a-z0-9_]+")) {
        if (!word.isEmpty()) {
          counts.merge(windowOf(options, record) + " " + word, 1L, Long::sum);
        }
      }
    }
    return counts;
  }

  private static long windowOf(WordCountOptions options, long record) {
    long time = options.eventStartMs() + options.profile().segmentOf(record).offsetMs(record);
    return time - Math.floorMod(time, options.window().toMillis());
  }
}
