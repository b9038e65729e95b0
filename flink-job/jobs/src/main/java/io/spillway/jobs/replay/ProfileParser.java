package io.spillway.jobs.replay;

import io.spillway.jobs.InvalidInputException;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads a profile.
 *
 * <pre>
 * 50k:10s,400k:20s,50k:15s             RATE:DURATION, RATE in records/s with k or M
 * csv:rates.csv,scale=0.1,speedup=60   rows `minute,requests`, minute after minute, one segment each
 * </pre>
 */
public final class ProfileParser {
  private static final String CSV = "csv:";
  private static final String FORM =
      "a profile reads RATE:DURATION,... such as 50k:10s,400k:20s or csv:PATH[,scale=S][,speedup=U]";
  private static final Pattern RATE = Pattern.compile("([0-9]+(?:\\.[0-9]+)?)([kM]?)");
  private static final Pattern NUMBER = Pattern.compile("[0-9]+(?:\\.[0-9]+)?");
  private static final Pattern MINUTE = Pattern.compile("[0-9]{1,18}");
  private static final BigDecimal MINUTE_MS = BigDecimal.valueOf(60_000);

  /** Only for people to read. */
  private static final int RATE_DECIMALS = 3;

  private ProfileParser() {}

  /**
   * Reads a profile.
   *
   * @throws InvalidInputException if it is malformed, stands for no record, or its CSV cannot be
   *     read
   */
  public static Profile parse(String spec) throws InvalidInputException {
    try {
      Builder builder =
          spec.startsWith(CSV) ? fromCsv(spec.substring(CSV.length())) : fromList(spec);
      return builder.build(spec);
    } catch (ArithmeticException e) {
      throw malformed("profile '" + spec + "' is longer than 2^63 can count");
    }
  }

  private static Builder fromList(String spec) throws InvalidInputException {
    Builder builder = new Builder(BigInteger.ONE);
    for (String part : spec.split(",", -1)) {
      int colon = part.indexOf(':');
      if (colon < 0) {
        throw malformed("profile segment '" + part + "' is not RATE:DURATION; " + FORM);
      }
      BigDecimal rate = rate(part.substring(0, colon), part);
      BigInteger durationMs = durationMs(part.substring(colon + 1), part);
      builder.add(rate, rate.multiply(new BigDecimal(durationMs)).movePointLeft(3), durationMs);
    }
    return builder;
  }

  private static BigDecimal rate(String text, String part) throws InvalidInputException {
    Matcher matcher = RATE.matcher(text);
    if (!matcher.matches()) {
      throw malformed(
          "rate '%s' in '%s' is not a number of records/s such as 400k, 1.5M or 33.3"
              .formatted(text, part));
    }
    int digits =
        switch (matcher.group(2)) {
          case "k" -> 3;
          case "M" -> 6;
          default -> 0;
        };
    BigDecimal rate = new BigDecimal(matcher.group(1)).movePointRight(digits);
    if (rate.stripTrailingZeros().scale() > 3) {
      throw malformed(
          "rate '%s' in '%s' is finer than a thousandth of a record/s".formatted(text, part));
    }
    return rate;
  }

  private static BigInteger durationMs(String text, String part) throws InvalidInputException {
    BigInteger ms = Durations.parseMs(text);
    if (ms == null || ms.signum() == 0) {
      throw malformed(
          "duration '%s' in '%s' is not a time above zero such as 500ms, 10s or 2m"
              .formatted(text, part));
    }
    return ms;
  }

  private static Builder fromCsv(String spec) throws InvalidInputException {
    String[] parts = spec.split(",", -1);
    BigDecimal scale = BigDecimal.ONE;
    BigDecimal speedup = BigDecimal.ONE;
    for (int i = 1; i < parts.length; i++) {
      String[] option = parts[i].split("=", 2);
      BigDecimal factor = number(option[option.length - 1]);
      if (option.length != 2 || factor == null || factor.signum() == 0) {
        throw malformedOption(parts[i]);
      }
      switch (option[0]) {
        case "scale" -> scale = factor;
        case "speedup" -> speedup = factor;
        default -> throw malformedOption(parts[i]);
      }
    }
    // A minute lasts 60000 / speedup ms: with speedup = p / 10^s that is 60000 × 10^s units of 1/p
    // ms.
    BigInteger unitsPerMs = speedup.unscaledValue();
    BigInteger minuteUnits =
        MINUTE_MS.movePointRight(Math.max(speedup.scale(), 0)).toBigIntegerExact();
    BigInteger common = unitsPerMs.gcd(minuteUnits);
    Builder builder = new Builder(unitsPerMs.divide(common));
    List<String> rows = readRows(parts[0]);
    long last = 0;
    for (int i = 1; i < rows.size(); i++) {
      String[] cells = rows.get(i).split(",", -1);
      BigDecimal requests = cells.length == 2 ? number(cells[1].strip()) : null;
      if (requests == null || !MINUTE.matcher(cells[0].strip()).matches()) {
        throw malformed(
            "%s line %d: '%s' is not 'minute,requests'".formatted(parts[0], i + 1, rows.get(i)));
      }
      long minute = Long.parseLong(cells[0].strip());
      if (i > 1 && minute != last + 1) {
        throw malformed(
            "%s line %d: minute %d comes after minute %d; give every minute, one after the other"
                .formatted(parts[0], i + 1, minute, last));
      }
      last = minute;
      BigDecimal records = requests.multiply(scale);
      BigDecimal rate =
          records
              .multiply(speedup)
              .divide(BigDecimal.valueOf(60), RATE_DECIMALS, RoundingMode.HALF_EVEN);
      builder.add(rate, records, minuteUnits.divide(common));
    }
    if (rows.size() < 2) {
      throw malformed(parts[0] + " has no row below its header; " + FORM);
    }
    return builder;
  }

  private static List<String> readRows(String path) throws InvalidInputException {
    try {
      return Files.readAllLines(Path.of(path), StandardCharsets.UTF_8);
    } catch (CharacterCodingException e) {
      throw new InvalidInputException(
          InvalidInputException.DATA, "the rates of " + path + " are not UTF-8 text");
    } catch (IOException | InvalidPathException e) {
      throw new InvalidInputException(
          InvalidInputException.NO_INPUT,
          "cannot read the rates of %s (%s): give csv: a readable file".formatted(path, e));
    }
  }

  private static BigDecimal number(String text) {
    return NUMBER.matcher(text).matches() ? new BigDecimal(text) : null;
  }

  private static InvalidInputException malformedOption(String option) {
    return malformed(
        "profile option '" + option + "' is not scale=S or speedup=U with a number above zero");
  }

  private static InvalidInputException malformed(String message) {
    return new InvalidInputException(InvalidInputException.USAGE, message);
  }

  /** Adds up segments; a fraction of a record is carried into the next segment. */
  private static final class Builder {
    private final BigInteger unitsPerMs;
    private final List<Segment> segments = new ArrayList<>();
    private BigDecimal due = BigDecimal.ZERO;
    private BigInteger startUnits = BigInteger.ZERO;
    private BigInteger firstRecord = BigInteger.ZERO;

    Builder(BigInteger unitsPerMs) {
      this.unitsPerMs = unitsPerMs;
    }

    void add(BigDecimal ratePerSecond, BigDecimal records, BigInteger durationUnits) {
      due = due.add(records);
      BigInteger end = due.setScale(0, RoundingMode.FLOOR).toBigIntegerExact();
      BigInteger endUnits = startUnits.add(durationUnits);
      // Whoever adds a start time in milliseconds to it stays within a long.
      endUnits.shiftLeft(1).longValueExact();
      segments.add(
          new Segment(
              firstRecord.longValueExact(),
              end.subtract(firstRecord).longValueExact(),
              startUnits.longValueExact(),
              durationUnits.longValueExact(),
              unitsPerMs.longValueExact(),
              ratePerSecond));
      startUnits = endUnits;
      firstRecord = end;
    }

    Profile build(String spec) throws InvalidInputException {
      if (firstRecord.signum() == 0) {
        throw malformed("profile '" + spec + "' stands for no record at all");
      }
      return new Profile(segments);
    }
  }
}
