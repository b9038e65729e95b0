package io.spillway.jobs.replay;

import java.math.BigInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Durations as people write them on a command line: {@code 500ms}, {@code 10s}, {@code 2m}. */
public final class Durations {
  private static final Pattern FORM = Pattern.compile("([0-9]+)(ms|s|m)");

  private Durations() {}

  /** The milliseconds that a text stands for, or null if it is no duration. */
  public static BigInteger parseMs(String text) {
    Matcher matcher = FORM.matcher(text);
    if (!matcher.matches()) {
      return null;
    }
    long unitMs =
        switch (matcher.group(2)) {
          case "ms" -> 1;
          case "s" -> 1_000;
          default -> 60_000;
        };
    return new BigInteger(matcher.group(1)).multiply(BigInteger.valueOf(unitMs));
  }
}
