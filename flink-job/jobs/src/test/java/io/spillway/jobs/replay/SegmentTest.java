package io.spillway.jobs.replay;

import static org.assertj.core.api.Assertions.assertThat;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class SegmentTest {
  private static final String[] RATES = {
    "0", "0.3", "7", "33.3", "1k", "0.777k", "0.002M", "999.999"
  };
  private static final long[] DURATIONS_MS = {1, 10, 333, 1_000, 1_999};

  @Test
  void offsetsAreThoseOfTheDefinition() throws Exception {
    Random random = new Random(2);
    for (int run = 0; run < 200; run++) {
      List<String> parts = new ArrayList<>();
      List<Long> expected = new ArrayList<>();
      BigDecimal due = BigDecimal.ZERO;
      long startMs = 0;
      long first = 0;
      for (int i = 0; i <= random.nextInt(6) || first == 0; i++) {
        String rate = RATES[random.nextInt(RATES.length)];
        long durationMs = DURATIONS_MS[random.nextInt(DURATIONS_MS.length)];
        parts.add(rate + ":" + durationMs + "ms");
        due = due.add(perSecond(rate).multiply(BigDecimal.valueOf(durationMs)).movePointLeft(3));
        long end = due.setScale(0, RoundingMode.FLOOR).longValueExact();
        for (long j = 0; j < end - first; j++) {
          expected.add(startMs + j * durationMs / (end - first));
        }
        startMs += durationMs;
        first = end;
      }

      Profile profile = ProfileParser.parse(String.join(",", parts));

      assertThat(profile.records()).isEqualTo(expected.size());
      for (int record = 0; record < expected.size(); record++) {
        assertThat(profile.segmentOf(record).offsetMs(record))
            .as("record %d of %s", record, parts)
            .isEqualTo(expected.get(record));
      }
      for (Segment segment : profile.segments()) {
        int stride = 1 + random.nextInt(3);
        long from = segment.firstRecord() + random.nextInt(2);
        if (from < segment.endRecord()) {
          Segment.Offsets walk = segment.offsets(from, stride);
          for (long record = from; record < segment.endRecord(); record += stride) {
            assertThat(walk.ms())
                .as("record %d of %s", record, parts)
                .isEqualTo(segment.offsetMs(record));
            walk.advance();
          }
        }
      }
    }
  }

  @Test
  void offsetsStayExactWhereALongWouldOverflow() throws Exception {
    Profile profile = ProfileParser.parse("1:1m,1M:50000000m");
    long record = profile.records() - 1;
    Segment.Offsets walk = profile.segmentOf(record).offsets(record - 3, 3);
    walk.advance();
    assertThat(walk.ms()).isEqualTo(profile.segmentOf(record).offsetMs(record));
    BigInteger records = BigInteger.valueOf(record - 59);

    assertThat(profile.segmentOf(record).offsetMs(record))
        .isEqualTo(
            60_000
                + records
                    .subtract(BigInteger.ONE)
                    .multiply(BigInteger.valueOf(50_000_000L * 60_000))
                    .divide(records)
                    .longValueExact());
  }

  private static BigDecimal perSecond(String rate) {
    int power = rate.endsWith("k") ? 3 : rate.endsWith("M") ? 6 : 0;
    return new BigDecimal(rate.replaceAll("[kM]", "")).movePointRight(power);
  }
}
