package io.spillway.valve;

import static org.apache.flink.configuration.ConfigOptions.key;

import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.MemorySize;

/** The valve's options. Bounds are checked when the valve is attached, see {@link ValveConfig}. */
public final class ValveOptions {

  /** Where the sidecar listens. */
  public static final ConfigOption<String> SIDECAR_URL =
      key("spillway.valve.sidecar.url")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Base URL of the sidecar, for example http://127.0.0.1:7077. Without it every record"
                  + " stays in the local lane.");

  /** Bearer token for the sidecar. */
  public static final ConfigOption<String> SIDECAR_TOKEN =
      key("spillway.valve.sidecar.token")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Bearer token for the sidecar. A sidecar that listens beyond loopback demands one.");

  /** The job's stable name. */
  public static final ConfigOption<String> JOB =
      key("spillway.valve.job")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "The job's stable name, [A-Za-z0-9_-][A-Za-z0-9._-]{0,127}. It is the folder of the"
                  + " results in S3, so keep it when the job is restarted. Required.");

  /** What the function computes on diverted records. */
  public static final ConfigOption<String> WORKLOAD =
      key("spillway.valve.workload")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Name of the workload that aggregates diverted records, for example wordcount. It must"
                  + " compute what the local lane computes. Required.");

  /** Size of the event-time windows. */
  public static final ConfigOption<Duration> WINDOW_SIZE =
      key("spillway.valve.window.size")
          .durationType()
          .defaultValue(Duration.ofSeconds(1))
          .withDescription(
              "Size of the tumbling event-time windows of the local lane, at least 1 ms. The function"
                  + " uses the same.");

  /** Upper bound of a batch. */
  public static final ConfigOption<MemorySize> BATCH_MAX_SIZE =
      key("spillway.valve.batch.max-size")
          .memoryType()
          .defaultValue(MemorySize.ofMebiBytes(4))
          .withDescription(
              "A batch is sealed before it would exceed this size, 4 kb to 16 mb. A record that fits"
                  + " into no batch stays local. Keep it within the sidecar's max_batch_bytes.");

  /** Upper bound of the records of a batch. */
  public static final ConfigOption<Integer> BATCH_MAX_RECORDS =
      key("spillway.valve.batch.max-records")
          .intType()
          .defaultValue(100_000)
          .withDescription("A batch is sealed when it has so many records, at least 1.");

  /** How long a batch stays open. */
  public static final ConfigOption<Duration> BATCH_LINGER =
      key("spillway.valve.batch.linger")
          .durationType()
          .defaultValue(Duration.ofMillis(100))
          .withDescription(
              "A batch is sealed this long after its first record, at least 1 ms. Longer means fewer,"
                  + " larger batches, and a longer wait for the result.");

  /** How long a batch may stay unsettled. */
  public static final ConfigOption<Duration> BATCH_DEADLINE =
      key("spillway.valve.batch.deadline")
          .durationType()
          .defaultValue(Duration.ofSeconds(5))
          .withDescription(
              "A batch without a receipt this long after it was sealed goes down the local lane, 1 ms"
                  + " to 10 min. Watermarks wait for a batch at most for its linger, this deadline,"
                  + " and what the local lane takes for the records that come back.");

  /** Time between two reports. */
  public static final ConfigOption<Duration> REPORT_INTERVAL =
      key("spillway.valve.report.interval")
          .durationType()
          .defaultValue(Duration.ofMillis(100))
          .withDescription("Time between two reports to the sidecar, 10 ms to 10 s.");

  /** From event time to the wall clock, for latencies. */
  public static final ConfigOption<Long> LATENCY_EVENT_TIME_OFFSET =
      key("spillway.valve.latency.event-time-offset")
          .longType()
          .defaultValue(0L)
          .withDescription(
              "Milliseconds (may be negative) to add to a record's event time to get the wall clock"
                  + " from which its latency counts: 0 for live streams, when the record was due for"
                  + " replays.");

  /** How many records are timed. */
  public static final ConfigOption<Integer> LATENCY_SAMPLE =
      key("spillway.valve.latency.sample")
          .intType()
          .defaultValue(16)
          .withDescription(
              "One in so many elements of the local lane's windows is timed, at least 1. In the cloud"
                  + " lane all are, batch by batch.");

  /** Where latencies are logged. */
  public static final ConfigOption<String> LATENCY_LOG =
      key("spillway.valve.latency.log")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "File to which every TaskManager appends its latency histograms by second, for"
                  + " experiments: lane, due second in ms, base64 HdrHistogram (V2, compressed,"
                  + " microseconds), split by tabs.");

  private static final List<ConfigOption<?>> ALL =
      List.of(
          SIDECAR_URL,
          SIDECAR_TOKEN,
          JOB,
          WORKLOAD,
          WINDOW_SIZE,
          BATCH_MAX_SIZE,
          BATCH_MAX_RECORDS,
          BATCH_LINGER,
          BATCH_DEADLINE,
          REPORT_INTERVAL,
          LATENCY_EVENT_TIME_OFFSET,
          LATENCY_SAMPLE,
          LATENCY_LOG);

  private ValveOptions() {}

  /** The keys of all options. Flink ignores others in silence, so look before you hand them on. */
  public static Set<String> keys() {
    return ALL.stream().map(ConfigOption::key).collect(Collectors.toUnmodifiableSet());
  }
}
