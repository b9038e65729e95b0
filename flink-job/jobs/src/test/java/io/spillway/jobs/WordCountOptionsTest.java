package io.spillway.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class WordCountOptionsTest {
  private static final String REQUIRED =
      "--input in --profile 10:1s --output s3://bucket/prefix --job wordcount";

  @Test
  void hasDefaultsForAllThatIsNotRequired() throws Exception {
    WordCountOptions options = parse("");

    assertThat(options.eventStartMs()).isNull();
    assertThat(options.lead()).isEqualTo(Duration.ofSeconds(3));
    assertThat(options.window()).isEqualTo(Duration.ofSeconds(1));
    assertThat(options.output()).isEqualTo("s3://bucket/prefix");
    assertThat(options.valve()).isTrue();
    assertThat(options.sidecar()).isNull();
    assertThat(options.checkpointInterval()).isEqualTo(Duration.ofSeconds(1));
    assertThat(options.parallelism()).isEqualTo(1);
    assertThat(options.latencyLog()).isNull();
    assertThat(options.paced()).isTrue();
    assertThat(options.dueStartMs()).isNull();
    assertThat(options.laneApart()).isFalse();
    assertThat(options.properties()).isEmpty();
  }

  @Test
  void readsAllThatIsGiven() throws Exception {
    WordCountOptions options =
        parse(
            "--start 2026-01-01T00:00:00Z --lead 0s --window 250ms --sidecar http://127.0.0.1:1"
                + " --checkpoint-interval 2m --parallelism 3 --latency-log log --unpaced --lane-apart"
                + " -Dspillway.valve.batch.linger=50ms");

    assertThat(options.eventStartMs()).isEqualTo(1_767_225_600_000L);
    assertThat(options.lead()).isZero();
    assertThat(options.window()).isEqualTo(Duration.ofMillis(250));
    assertThat(options.sidecar()).isEqualTo("http://127.0.0.1:1");
    assertThat(options.checkpointInterval()).isEqualTo(Duration.ofMinutes(2));
    assertThat(options.parallelism()).isEqualTo(3);
    assertThat(options.latencyLog()).isEqualTo("log");
    assertThat(options.paced()).isFalse();
    assertThat(options.laneApart()).isTrue();
    assertThat(options.properties()).isEqualTo(Map.of("spillway.valve.batch.linger", "50ms"));
  }

  @Test
  void takesStartsBefore1970() throws Exception {
    assertThat(parse("--start -1500").eventStartMs()).isEqualTo(-1_500);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--start yesterday",
        "--start 99999999999999999999",
        "--lead 3",
        "--lead -1s",
        "--due soon",
        "--due 1000 --lead 3s",
        "--window 0ms",
        "--window 99999999999999999999s",
        "--valve maybe",
        "--valve off --sidecar http://127.0.0.1:1",
        "--checkpoint-interval 1ms",
        "--parallelism 0",
        "--parallelism 129",
        "--parallelism two",
        "--job x --job y",
        "--window",
        "--colour red",
        "stray",
        "-Dparallelism.default=2",
        "-Dnothing"
      })
  void refusesWhatMakesNoSenseInOneLine(String arguments) {
    assertRefused(REQUIRED + " " + arguments);
  }

  @ParameterizedTest
  @CsvSource({
    "batch.lingre, docs/valve.md",
    "Batch.linger, docs/valve.md",
    "window.size, --window",
    "job, --job",
    "workload, leave it out",
    "sidecar.url, --sidecar",
    "latency.log, --latency-log",
    "latency.event-time-offset, --start"
  })
  void refusesAnOptionOfTheValveThatWouldHaveNoEffect(String key, String hint) {
    assertThatThrownBy(() -> parse("-Dspillway.valve." + key + "=1"))
        .hasMessageContaining("-Dspillway.valve." + key)
        .hasMessageContaining(hint)
        .satisfies(e -> assertRefused(e, InvalidInputException.CONFIG));
  }

  @Test
  void refusesAnOptionThatIsOfNoPartOfSpillway() {
    assertThatThrownBy(() -> parse("-Dspillway.linger=1"))
        .satisfies(e -> assertRefused(e, InvalidInputException.CONFIG));
  }

  @Test
  void takesEveryOtherOptionOfTheValve() throws Exception {
    assertThat(
            parse(
                    "-Dspillway.valve.sidecar.token=t -Dspillway.valve.batch.max-size=1mb"
                        + " -Dspillway.valve.batch.max-records=1 -Dspillway.valve.batch.linger=1s"
                        + " -Dspillway.valve.batch.deadline=1s -Dspillway.valve.report.interval=1s"
                        + " -Dspillway.valve.latency.sample=1")
                .properties())
        .hasSize(7);
  }

  @ParameterizedTest
  @ValueSource(strings = {"../up", "a/b", "", ".hidden", "a b"})
  void refusesAJobThatIsNoSafeFolderName(String job) {
    List<String> arguments =
        new ArrayList<>(List.of(REQUIRED.replace(" --job wordcount", "").split(" ")));
    arguments.addAll(List.of("--job", job));

    assertRefused(arguments.toArray(String[]::new));
  }

  @ParameterizedTest
  @ValueSource(strings = {"bucket/prefix", "/folder", "s3:/bucket", "s3://", "s3://b/%zz", ":"})
  void refusesAnOutputThatIsNoUri(String output) {
    assertRefused(REQUIRED.replace("s3://bucket/prefix", output));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--input in ",
        "--profile 10:1s ",
        "--output s3://bucket/prefix ",
        "--job wordcount"
      })
  void refusesToRunWithoutWhatIsRequired(String missing) {
    assertRefused((REQUIRED + " ").replace(missing, "").strip());
  }

  @Test
  void startsAtAFullSecondAfterTheLeadSoThatSecondsOfTheLogAreSecondsOfTheProfile()
      throws Exception {
    ReplayPlan plan = ReplayPlan.of(parse("--lead 2s"), Instant.ofEpochMilli(10_001));

    assertThat(plan.settings().dueStartMs()).isEqualTo(13_000);
    assertThat(plan.settings().eventStartMs()).isEqualTo(13_000);
    assertThat(
            ReplayPlan.of(parse("--lead 2s"), Instant.ofEpochMilli(10_000)).settings().dueStartMs())
        .isEqualTo(12_000);
  }

  @Test
  void startsWhenItIsToldTo() throws Exception {
    ReplayPlan plan = ReplayPlan.of(parse("--due 9001 --start 7"), Instant.ofEpochMilli(10_000));

    assertThat(plan.settings().dueStartMs()).isEqualTo(9_001);
    assertThat(plan.settings().eventStartMs()).isEqualTo(7);
  }

  @Test
  void thePlanSaysWhatWillRun() throws Exception {
    WordCountOptions options = parse("--start 7 --lead 0s");

    assertThat(ReplayPlan.of(options, Instant.ofEpochMilli(1_000)).toJson())
        .isEqualTo(
            "{\"due_start_ms\":1000,\"event_start_ms\":7,\"records\":10,"
                + "\"segments\":[{\"rate_per_s\":10,\"duration_ms\":1000,\"records\":10}]}");
  }

  private static WordCountOptions parse(String more) throws InvalidInputException {
    return WordCountOptions.parse((REQUIRED + " " + more).strip().split(" "));
  }

  private static void assertRefused(String arguments) {
    assertRefused(arguments.split(" "));
  }

  private static void assertRefused(String... arguments) {
    assertThatThrownBy(() -> WordCountOptions.parse(arguments))
        .satisfies(e -> assertRefused(e, InvalidInputException.USAGE));
  }

  private static void assertRefused(Throwable thrown, int exitCode) {
    assertThat(thrown)
        .hasMessageNotContaining("\n")
        .asInstanceOf(InstanceOfAssertFactories.type(InvalidInputException.class))
        .extracting(InvalidInputException::exitCode)
        .isEqualTo(exitCode);
  }
}
