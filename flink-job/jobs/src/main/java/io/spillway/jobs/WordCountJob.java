package io.spillway.jobs;

import io.spillway.jobs.replay.ReplaySource;
import io.spillway.jobs.wordcount.LocalRow;
import io.spillway.jobs.wordcount.WordCount;
import io.spillway.valve.RecordCodec;
import io.spillway.valve.Valve;
import io.spillway.valve.ValveOptions;
import io.spillway.valve.ValveStreams;
import java.time.Clock;
import java.time.Duration;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.IllegalConfigurationException;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Counts the words of a replayed text file, per tumbling window:
 *
 * <pre>
 * replay → valve → tokenize → keyBy(word) → count → local/
 *            └─ receipts, books ─────────────────→ ledger/
 * </pre>
 *
 * <p>Bounded: the job ends by itself when every record is settled and committed. Options are those
 * of {@link WordCountOptions}. Input that cannot be run is refused before anything is submitted,
 * with one line; with the system property {@value #EXIT_CODES} the process then exits with a code
 * of sysexits (not otherwise, for the process may be a JobManager).
 */
public final class WordCountJob {
  private static final String EXIT_CODES = "spillway.exit-codes";
  private static final String WORKLOAD = "wordcount";
  private static final String LANE_SLOTS = "lane";

  /**
   * How long a record may wait in a half full network buffer. Flink's default of 100 ms would be
   * most of a record's latency at low rates; at high rates buffers fill up sooner anyway.
   */
  private static final Duration BUFFER_TIMEOUT = Duration.ofMillis(10);

  private WordCountJob() {}

  /** Submits the job. */
  public static void main(String[] args) throws Exception {
    try {
      submit(WordCountOptions.parse(args), Clock.systemUTC());
    } catch (InvalidInputException e) {
      System.err.println("wordcount: " + e.getMessage());
      if (Boolean.getBoolean(EXIT_CODES)) {
        System.exit(e.exitCode());
      }
      throw e;
    }
  }

  private static void submit(WordCountOptions options, Clock clock) throws Exception {
    ReplaySource.checkInput(options.input());
    StreamExecutionEnvironment env = environment(options, new Configuration());
    Output.check(options, env.getConfiguration());
    ReplayPlan plan = ReplayPlan.of(options, clock.instant());
    build(env, options, plan);
    System.out.println(plan.toJson());
    env.execute(options.job());
  }

  /**
   * An environment for this job.
   *
   * @param given Flink options of the user, over which only what the job cannot do without is laid
   */
  static StreamExecutionEnvironment environment(WordCountOptions options, Configuration given) {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(given);
    Configuration own = new Configuration();
    own.set(ExecutionOptions.RUNTIME_MODE, RuntimeExecutionMode.STREAMING);
    // Every type here has a serializer of Flink's own; Kryo would be a mistake.
    own.set(PipelineOptions.GENERIC_TYPES, false);
    own.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, options.checkpointInterval());
    own.set(CheckpointingOptions.CHECKPOINTING_CONSISTENCY_MODE, CheckpointingMode.EXACTLY_ONCE);
    setUnlessGiven(own, env.getConfiguration(), PipelineOptions.OBJECT_REUSE, true);
    setUnlessGiven(own, env.getConfiguration(), ExecutionOptions.BUFFER_TIMEOUT, BUFFER_TIMEOUT);
    env.configure(own);
    return env;
  }

  private static <T> void setUnlessGiven(
      Configuration own, ReadableConfig given, ConfigOption<T> option, T value) {
    if (given.getOptional(option).isEmpty()) {
      own.set(option, value);
    }
  }

  /**
   * Adds the job to an environment.
   *
   * @throws InvalidInputException if an option of the valve is out of its bounds
   */
  static void build(StreamExecutionEnvironment env, WordCountOptions options, ReplayPlan plan)
      throws InvalidInputException {
    try {
      connect(env, options, plan);
    } catch (IllegalConfigurationException e) {
      throw new InvalidInputException(InvalidInputException.CONFIG, e.getMessage());
    }
  }

  private static void connect(
      StreamExecutionEnvironment env, WordCountOptions options, ReplayPlan plan) {
    env.setParallelism(options.parallelism());
    DataStream<byte[]> records =
        env.fromSource(
                new ReplaySource(plan.settings()),
                WatermarkStrategy.forMonotonousTimestamps(),
                "replay")
            .uid("replay");

    Configuration valveOptions = valveOptions(options, plan);
    DataStream<byte[]> local = records;
    if (options.valve()) {
      ValveStreams<byte[]> valve =
          Valve.named("valve").attach(records, RecordCodec.bytes(), valveOptions);
      local = valve.local();
      valve
          .ledger()
          .sinkTo(Output.sink(options, Output.LEDGER, new SimpleStringEncoder<>()))
          .name("ledger")
          .uid("ledger");
    }
    SingleOutputStreamOperator<LocalRow> rows =
        WordCount.rows(local, options.window(), valveOptions);
    if (options.laneApart()) {
      rows = rows.slotSharingGroup(LANE_SLOTS);
    }
    rows.sinkTo(Output.sink(options, Output.LOCAL, WordCount.encoder()))
        // A chained sink would stop the windows while it uploads.
        .disableChaining()
        .name("local")
        .uid("local");
  }

  private static Configuration valveOptions(WordCountOptions options, ReplayPlan plan) {
    Configuration configuration = Configuration.fromMap(options.properties());
    configuration.set(ValveOptions.JOB, options.job());
    configuration.set(ValveOptions.WORKLOAD, WORKLOAD);
    configuration.set(ValveOptions.WINDOW_SIZE, options.window());
    configuration.set(
        ValveOptions.LATENCY_EVENT_TIME_OFFSET,
        plan.settings().dueStartMs() - plan.settings().eventStartMs());
    if (options.sidecar() != null) {
      configuration.set(ValveOptions.SIDECAR_URL, options.sidecar());
    }
    if (options.latencyLog() != null) {
      configuration.set(ValveOptions.LATENCY_LOG, options.latencyLog());
    }
    return configuration;
  }
}
