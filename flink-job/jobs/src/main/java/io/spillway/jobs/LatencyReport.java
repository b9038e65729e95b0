package io.spillway.jobs;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.LongPredicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.zip.DataFormatException;
import org.HdrHistogram.Histogram;

/**
 * Sums up a latency log of the valve: {@code LatencyReport FILE --phases
 * baseline:A-B,spike:B-C,after:C-D}, where A to D are due times in milliseconds since the epoch. A
 * second of the log belongs to the phase in which it starts.
 *
 * <p>Prints one line of JSON, in milliseconds: per lane and phase, and per second and lane, {@code
 * count}, {@code p50}, {@code p99} and {@code max}, the last three null if nothing was counted.
 * {@code skipped_lines} counts lines that are not whole, as a process that is killed while it
 * writes leaves behind.
 */
public final class LatencyReport {
  private static final List<String> LANES = List.of("local", "cloud");
  private static final double US_PER_MS = 1_000.0;
  private static final Pattern PHASE =
      Pattern.compile("([A-Za-z0-9_-]+):(-?\\d{1,18})-(-?\\d{1,18})");
  private static final String USE =
      "use: LatencyReport FILE --phases NAME:FROM_MS-TO_MS,... such as baseline:0-9000,spike:9000-19000";

  private final Map<String, TreeMap<Long, Histogram>> bySecond = new TreeMap<>();
  private long skippedLines;

  private LatencyReport() {
    LANES.forEach(lane -> bySecond.put(lane, new TreeMap<>()));
  }

  /** Prints the report; exits with a code of sysexits if it cannot. */
  public static void main(String[] args) {
    try {
      if (args.length == 0 || args[0].startsWith("-")) {
        throw CommandLine.usage(USE);
      }
      String[] options = List.of(args).subList(1, args.length).toArray(String[]::new);
      String phases = new CommandLine(options, Set.of("phases"), Set.of()).require("phases");
      System.out.println(report(Path.of(args[0]), phases));
    } catch (InvalidInputException e) {
      System.err.println("LatencyReport: " + e.getMessage());
      System.exit(e.exitCode());
    }
  }

  /**
   * The report as JSON.
   *
   * @throws InvalidInputException if the phases are malformed or the file cannot be read
   */
  static String report(Path log, String phases) throws InvalidInputException {
    List<Phase> ranges = new ArrayList<>();
    for (String phase : phases.split(",", -1)) {
      ranges.add(Phase.parse(phase));
    }
    LatencyReport report = new LatencyReport();
    report.read(log);
    return report.toJson(ranges);
  }

  private void read(Path log) throws InvalidInputException {
    try (var lines = Files.lines(log, StandardCharsets.ISO_8859_1)) {
      lines.forEach(this::add);
    } catch (IOException | UncheckedIOException e) {
      throw new InvalidInputException(
          InvalidInputException.NO_INPUT,
          "cannot read %s (%s): give the job --latency-log".formatted(log, e));
    }
  }

  private void add(String line) {
    String[] columns = line.split("\t", -1);
    if (columns.length != 3 || !LANES.contains(columns[0])) {
      skippedLines++;
      return;
    }
    try {
      long dueMs = Long.parseLong(columns[1]);
      ByteBuffer encoded = ByteBuffer.wrap(Base64.getDecoder().decode(columns[2]));
      Histogram histogram = Histogram.decodeFromCompressedByteBuffer(encoded, 0);
      bySecond.get(columns[0]).merge(dueMs, histogram, LatencyReport::sum);
    } catch (DataFormatException | RuntimeException e) {
      // The decoder throws all sorts of exceptions on bytes that are no histogram.
      skippedLines++;
    }
  }

  private static Histogram sum(Histogram a, Histogram b) {
    a.setAutoResize(true);
    a.add(b);
    return a;
  }

  private String toJson(List<Phase> phases) {
    List<String> members = new ArrayList<>();
    for (String lane : LANES) {
      members.add(
          phases.stream()
              .map(
                  phase ->
                      "\"%s\":{%s}".formatted(phase.name, figures(total(lane, phase::contains))))
              .collect(Collectors.joining(",", "\"" + lane + "\":{", "}")));
    }
    List<String> seconds = new ArrayList<>();
    bySecond.forEach(
        (lane, histograms) ->
            histograms.forEach(
                (dueMs, histogram) ->
                    seconds.add(
                        "{\"due_ms\":%d,\"lane\":\"%s\",%s}"
                            .formatted(dueMs, lane, figures(histogram)))));
    members.add("\"seconds\":[" + String.join(",", seconds) + "]");
    members.add("\"skipped_lines\":" + skippedLines);
    return "{" + String.join(",", members) + "}";
  }

  private Histogram total(String lane, LongPredicate isIn) {
    // Copies of the first one, since adding to one of another resolution would round twice.
    return bySecond.get(lane).entrySet().stream()
        .filter(second -> isIn.test(second.getKey()))
        .map(second -> second.getValue().copy())
        .reduce(LatencyReport::sum)
        .orElseGet(() -> new Histogram(1));
  }

  private static String figures(Histogram histogram) {
    long count = histogram.getTotalCount();
    return "\"count\":%d,\"p50\":%s,\"p99\":%s,\"max\":%s"
        .formatted(
            count,
            count == 0 ? null : histogram.getValueAtPercentile(50) / US_PER_MS,
            count == 0 ? null : histogram.getValueAtPercentile(99) / US_PER_MS,
            count == 0 ? null : histogram.getMaxValue() / US_PER_MS);
  }

  /** A stretch of due times, the end not included. */
  private record Phase(String name, long fromMs, long toMs) {
    static Phase parse(String text) throws InvalidInputException {
      Matcher matcher = PHASE.matcher(text);
      if (!matcher.matches()) {
        throw CommandLine.usage("'" + text + "' is no phase; " + USE);
      }
      return new Phase(
          matcher.group(1), Long.parseLong(matcher.group(2)), Long.parseLong(matcher.group(3)));
    }

    boolean contains(long dueMs) {
      return fromMs <= dueMs && dueMs < toMs;
    }
  }
}
