package io.spillway.jobs;

import io.spillway.jobs.replay.Durations;
import io.spillway.jobs.replay.Profile;
import io.spillway.jobs.replay.ProfileParser;
import io.spillway.valve.ValveOptions;
import java.math.BigInteger;
import java.net.URI;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.Map;
import java.util.Set;

/**
 * What {@link WordCountJob} is asked to do.
 *
 * @param input file whose lines are replayed
 * @param profile how many records are due when
 * @param eventStartMs event time of offset 0; null for when it is due
 * @param lead time from submission until offset 0 is due
 * @param dueStartMs wall clock at which offset 0 is due, whatever the lead; null for after the
 *     lead. A run that is resumed from a checkpoint keeps its times with it
 * @param window size of the windows
 * @param output URI of the folder that holds the job's folder, without a slash at its end
 * @param job the job's stable name
 * @param valve whether there is a valve
 * @param sidecar the sidecar's URL; null for none
 * @param checkpointInterval time between checkpoints
 * @param parallelism of each operator
 * @param latencyLog file for the latency histograms; null for none
 * @param paced false to emit as fast as possible
 * @param laneApart whether the windows of the local lane get slots, hence TaskManagers, of their
 *     own
 * @param properties further options of the valve
 */
record WordCountOptions(
    String input,
    Profile profile,
    Long eventStartMs,
    Duration lead,
    Long dueStartMs,
    Duration window,
    String output,
    String job,
    boolean valve,
    String sidecar,
    Duration checkpointInterval,
    int parallelism,
    String latencyLog,
    boolean paced,
    boolean laneApart,
    Map<String, String> properties) {

  private static final Set<String> NAMES =
      Set.of(
          "input",
          "profile",
          "start",
          "lead",
          "due",
          "window",
          "output",
          "job",
          "valve",
          "sidecar",
          "checkpoint-interval",
          "parallelism",
          "latency-log");
  private static final Set<String> FLAGS = Set.of("unpaced", "lane-apart");
  private static final String JOB_NAME = "[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}";
  private static final String PREFIX = "spillway.";

  /** Options of the valve that this job sets itself, and what to do instead. */
  private static final Map<String, String> SET_OTHERWISE =
      Map.of(
          ValveOptions.SIDECAR_URL.key(), "give --sidecar",
          ValveOptions.JOB.key(), "give --job",
          ValveOptions.WORKLOAD.key(), "this job's workload is wordcount, leave it out",
          ValveOptions.WINDOW_SIZE.key(), "give --window",
          ValveOptions.LATENCY_LOG.key(), "give --latency-log",
          ValveOptions.LATENCY_EVENT_TIME_OFFSET.key(), "it follows from --start and --due");

  /** Flink's own lower bound. */
  private static final Duration MIN_CHECKPOINT_INTERVAL = Duration.ofMillis(10);

  /**
   * Reads the command line.
   *
   * @throws InvalidInputException if it cannot be understood, or its profile cannot be read
   */
  static WordCountOptions parse(String... args) throws InvalidInputException {
    CommandLine line = new CommandLine(args, NAMES, FLAGS);
    return new WordCountOptions(
        line.require("input"),
        ProfileParser.parse(line.require("profile")),
        time(line, "start"),
        duration(line, "lead", "3s", Duration.ZERO),
        due(line),
        duration(line, "window", "1s", Duration.ofMillis(1)),
        output(line.require("output")),
        job(line.require("job")),
        valve(line.get("valve", "on")),
        sidecar(line),
        duration(line, "checkpoint-interval", "1s", MIN_CHECKPOINT_INTERVAL),
        parallelism(line.get("parallelism", "1")),
        line.get("latency-log", null),
        !line.has("unpaced"),
        line.has("lane-apart"),
        properties(line));
  }

  private static Long due(CommandLine line) throws InvalidInputException {
    if (line.has("due") && line.has("lead")) {
      throw CommandLine.usage(
          "--due and --lead both say when the run starts: leave one of them out");
    }
    return time(line, "due");
  }

  private static Long time(CommandLine line, String name) throws InvalidInputException {
    String text = line.get(name, null);
    if (text == null) {
      return null;
    }
    try {
      return text.matches("-?[0-9]+")
          ? Long.parseLong(text)
          : OffsetDateTime.parse(text).toInstant().toEpochMilli();
    } catch (NumberFormatException | DateTimeException | ArithmeticException e) {
      throw CommandLine.usage(
          "--%s '%s' is neither milliseconds since 1970 nor a time such as 2026-01-01T00:00:00Z"
              .formatted(name, text));
    }
  }

  private static Duration duration(
      CommandLine line, String name, String otherwise, Duration atLeast)
      throws InvalidInputException {
    String text = line.get(name, otherwise);
    BigInteger ms = Durations.parseMs(text);
    if (ms == null || ms.bitLength() > 48 || ms.longValue() < atLeast.toMillis()) {
      throw CommandLine.usage(
          "--%s '%s' is not a time of at least %d ms such as 500ms, 10s or 2m"
              .formatted(name, text, atLeast.toMillis()));
    }
    return Duration.ofMillis(ms.longValue());
  }

  private static String output(String text) throws InvalidInputException {
    try {
      URI uri = URI.create(text);
      boolean hasPlace = uri.getHost() != null || "file".equals(uri.getScheme());
      if (uri.getScheme() != null && uri.getPath() != null && hasPlace) {
        return text.replaceFirst("/+$", "");
      }
    } catch (IllegalArgumentException e) {
      // Falls through to the one complaint.
    }
    throw CommandLine.usage(
        "--output '" + text + "' is not a URI such as s3://bucket/prefix or file:///folder");
  }

  private static String job(String text) throws InvalidInputException {
    if (!text.matches(JOB_NAME)) {
      throw CommandLine.usage("--job '%s' is not of the form %s".formatted(text, JOB_NAME));
    }
    return text;
  }

  private static boolean valve(String text) throws InvalidInputException {
    return switch (text) {
      case "on" -> true;
      case "off" -> false;
      default -> throw CommandLine.usage("--valve '" + text + "' is neither on nor off");
    };
  }

  private static String sidecar(CommandLine line) throws InvalidInputException {
    String url = line.get("sidecar", null);
    if (url != null && "off".equals(line.get("valve", "on"))) {
      throw CommandLine.usage("--sidecar has no use with --valve off: leave one of them out");
    }
    return url;
  }

  private static int parallelism(String text) throws InvalidInputException {
    // 128 is the number of Flink's key groups by default: more subtasks would get no key.
    if (text.matches("[0-9]{1,3}")
        && Integer.parseInt(text) >= 1
        && Integer.parseInt(text) <= 128) {
      return Integer.parseInt(text);
    }
    throw CommandLine.usage("--parallelism '" + text + "' is not a number from 1 to 128");
  }

  private static Map<String, String> properties(CommandLine line) throws InvalidInputException {
    for (String key : line.properties().keySet()) {
      if (!key.startsWith(PREFIX)) {
        throw CommandLine.usage(
            "-D%s is no option of the valve: give Flink's options to the client, before the jar"
                .formatted(key));
      }
      if (!ValveOptions.keys().contains(key)) {
        throw config("-D%s is no option of the valve: docs/valve.md lists them".formatted(key));
      }
      if (SET_OTHERWISE.containsKey(key)) {
        throw config("-D%s would have no effect: %s".formatted(key, SET_OTHERWISE.get(key)));
      }
    }
    return Map.copyOf(line.properties());
  }

  private static InvalidInputException config(String message) {
    return new InvalidInputException(InvalidInputException.CONFIG, message);
  }
}
