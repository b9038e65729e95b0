package io.spillway.jobs;

import io.spillway.jobs.replay.ReplaySource;
import io.spillway.jobs.replay.Segment;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.time.Instant;
import java.util.stream.Collectors;

/**
 * A replay with its times settled.
 *
 * @param settings of the source
 */
record ReplayPlan(ReplaySource.Settings settings) {
  private static final long SECOND_MS = 1_000;
  private static final int DECIMALS = 6;

  /**
   * Settles when the run starts: when it is told to, or at the first full second after now and the
   * lead, so that the seconds by which latencies are logged are whole seconds of the profile too.
   */
  static ReplayPlan of(WordCountOptions options, Instant now) {
    long dueStartMs =
        options.dueStartMs() == null ? afterTheLead(options, now) : options.dueStartMs();
    long eventStartMs = options.eventStartMs() == null ? dueStartMs : options.eventStartMs();
    return new ReplayPlan(
        new ReplaySource.Settings(
            options.input(), options.profile(), eventStartMs, dueStartMs, options.paced()));
  }

  private static long afterTheLead(WordCountOptions options, Instant now) {
    long earliestMs = now.plus(options.lead()).toEpochMilli();
    return Math.floorDiv(earliestMs + SECOND_MS - 1, SECOND_MS) * SECOND_MS;
  }

  /** One line for whoever watches the run. */
  String toJson() {
    String segments =
        settings.profile().segments().stream()
            .map(
                segment ->
                    "{\"rate_per_s\":%s,\"duration_ms\":%s,\"records\":%d}"
                        .formatted(
                            plain(segment.ratePerSecond()),
                            plain(durationMs(segment)),
                            segment.records()))
            .collect(Collectors.joining(",", "[", "]"));
    return "{\"due_start_ms\":%d,\"event_start_ms\":%d,\"records\":%d,\"segments\":%s}"
        .formatted(
            settings.dueStartMs(), settings.eventStartMs(), settings.profile().records(), segments);
  }

  private static BigDecimal durationMs(Segment segment) {
    return BigDecimal.valueOf(segment.durationUnits())
        .divide(BigDecimal.valueOf(segment.unitsPerMs()), DECIMALS, RoundingMode.HALF_EVEN);
  }

  private static String plain(BigDecimal number) {
    return number.stripTrailingZeros().toPlainString();
  }
}
