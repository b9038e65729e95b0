package io.spillway.valve;

import java.io.Serializable;
import java.net.URI;
import java.net.URISyntaxException;
import java.time.Duration;
import java.util.Locale;
import java.util.regex.Pattern;
import javax.annotation.Nullable;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.IllegalConfigurationException;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.util.TimeUtils;

/**
 * The valve's settings, checked: what is in here is within its bounds.
 *
 * @param valve the valve's name within the job
 * @param job the job's stable name
 * @param workload what the function computes
 * @param windowSizeMs size of the tumbling windows, at least 1
 * @param sidecar base URL without a slash at its end, or null: everything stays local
 * @param token bearer token for the sidecar, or null
 * @param maxBatchBytes upper bound of a batch
 * @param maxBatchRecords upper bound of the records of a batch
 * @param linger how long a batch stays open
 * @param deadline how long a batch may stay unsettled after it was sealed
 * @param reportInterval time between two reports
 * @param latencyOffsetMs from event time to the wall clock from which latency counts
 * @param latencyLog file for latencies, or null
 */
record ValveConfig(
    String valve,
    String job,
    String workload,
    long windowSizeMs,
    @Nullable URI sidecar,
    @Nullable String token,
    int maxBatchBytes,
    int maxBatchRecords,
    Duration linger,
    Duration deadline,
    Duration reportInterval,
    long latencyOffsetMs,
    @Nullable String latencyLog)
    implements Serializable {

  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}");

  private static final Duration ONE_MS = Duration.ofMillis(1);

  private static final MemorySize LEAST_BATCH = MemorySize.parse("4 kb");

  /** The most that the function takes. */
  private static final MemorySize MOST_BATCH = MemorySize.ofMebiBytes(16);

  /**
   * Reads and checks the options.
   *
   * @throws IllegalConfigurationException naming the option, its value and what it should be
   */
  static ValveConfig of(String valve, ReadableConfig options) {
    if (!NAME.matcher(valve).matches()) {
      throw new IllegalConfigurationException(
          "The valve's name '%s' does not match %s.", valve, NAME.pattern());
    }
    try {
      return read(valve, options);
    } catch (IllegalArgumentException e) {
      // Flink's own message names the option and the value that it could not parse.
      throw new IllegalConfigurationException(e.getMessage(), e);
    }
  }

  private static ValveConfig read(String valve, ReadableConfig options) {
    return new ValveConfig(
        valve,
        name(options, ValveOptions.JOB),
        name(options, ValveOptions.WORKLOAD),
        bounded(options, ValveOptions.WINDOW_SIZE, ONE_MS, Duration.ofDays(366)).toMillis(),
        url(options),
        token(options),
        (int) maxBatchBytes(options),
        bounded(options, ValveOptions.BATCH_MAX_RECORDS, 1, 16 << 20),
        bounded(options, ValveOptions.BATCH_LINGER, ONE_MS, Duration.ofMinutes(10)),
        bounded(options, ValveOptions.BATCH_DEADLINE, ONE_MS, Duration.ofMinutes(10)),
        bounded(
            options, ValveOptions.REPORT_INTERVAL, Duration.ofMillis(10), Duration.ofSeconds(10)),
        options.get(ValveOptions.LATENCY_EVENT_TIME_OFFSET),
        options.get(ValveOptions.LATENCY_LOG));
  }

  private static String name(ReadableConfig options, ConfigOption<String> option) {
    String value =
        options
            .getOptional(option)
            .orElseThrow(
                () ->
                    new IllegalConfigurationException(
                        "The option '%s' is missing. Set it to a name such as 'wordcount'.",
                        option.key()));
    if (!NAME.matcher(value).matches()) {
      throw invalid(option, value, "a name that matches " + NAME.pattern());
    }
    return value;
  }

  @Nullable
  private static URI url(ReadableConfig options) {
    String value = options.get(ValveOptions.SIDECAR_URL);
    if (value == null) {
      return null;
    }
    if (value.indexOf('@') >= 0) {
      // The URL is logged and shown in Flink's web interface, so neither may it be told here.
      throw new IllegalConfigurationException(
          "The option '%s' holds a user or a password. Leave them out; a token goes into '%s'."
              .formatted(ValveOptions.SIDECAR_URL.key(), ValveOptions.SIDECAR_TOKEN.key()));
    }
    try {
      URI uri = new URI(value.endsWith("/") ? value.substring(0, value.length() - 1) : value);
      String scheme = uri.getScheme() == null ? "" : uri.getScheme().toLowerCase(Locale.ROOT);
      if ((scheme.equals("http") || scheme.equals("https"))
          && uri.getHost() != null
          && uri.getQuery() == null
          && uri.getFragment() == null) {
        return uri;
      }
    } catch (URISyntaxException e) {
      // Falls through to the one error below.
    }
    throw invalid(ValveOptions.SIDECAR_URL, value, "a URL such as http://127.0.0.1:7077");
  }

  @Nullable
  private static String token(ReadableConfig options) {
    String value = options.get(ValveOptions.SIDECAR_TOKEN);
    // A header must not be split by what is in the token; and it is a secret, so it is not shown.
    if (value != null && !value.chars().allMatch(c -> c > ' ' && c < 0x7f)) {
      throw new IllegalConfigurationException(
          "The option '%s' must be printable ASCII without spaces.",
          ValveOptions.SIDECAR_TOKEN.key());
    }
    return value;
  }

  private static long maxBatchBytes(ReadableConfig options) {
    MemorySize value = options.get(ValveOptions.BATCH_MAX_SIZE);
    if (value.compareTo(LEAST_BATCH) < 0 || value.compareTo(MOST_BATCH) > 0) {
      throw invalid(
          ValveOptions.BATCH_MAX_SIZE, value, "between " + LEAST_BATCH + " and " + MOST_BATCH);
    }
    return value.getBytes();
  }

  private static Duration bounded(
      ReadableConfig options, ConfigOption<Duration> option, Duration least, Duration most) {
    Duration value = options.get(option);
    if (value.compareTo(least) < 0 || value.compareTo(most) > 0) {
      throw invalid(
          option,
          TimeUtils.formatWithHighestUnit(value),
          "between "
              + TimeUtils.formatWithHighestUnit(least)
              + " and "
              + TimeUtils.formatWithHighestUnit(most));
    }
    return value;
  }

  private static int bounded(
      ReadableConfig options, ConfigOption<Integer> option, int least, int most) {
    int value = options.get(option);
    if (value < least || value > most) {
      throw invalid(option, value, "between " + least + " and " + most);
    }
    return value;
  }

  private static IllegalConfigurationException invalid(
      ConfigOption<?> option, Object value, String should) {
    return new IllegalConfigurationException(
        "The option '%s' is '%s', but must be %s.", option.key(), value, should);
  }

  @Override
  public String toString() {
    return "ValveConfig[valve=" + valve + ", job=" + job + ", sidecar=" + sidecar + "]";
  }
}
