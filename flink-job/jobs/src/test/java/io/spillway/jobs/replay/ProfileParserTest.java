package io.spillway.jobs.replay;

import static java.util.stream.Collectors.joining;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.spillway.jobs.InvalidInputException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.IntStream;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ProfileParserTest {
  @TempDir Path folder;

  @Test
  void readsRatesAndDurationsWithTheirUnits() throws Exception {
    Profile profile = ProfileParser.parse("50k:10s,1.5M:500ms,33.3:2m");

    assertThat(profile.segments())
        .extracting(Segment::records)
        .containsExactly(500_000L, 750_000L, 3_996L);
    assertThat(profile.segments())
        .extracting(Segment::startUnits)
        .containsExactly(0L, 10_000L, 10_500L);
    assertThat(profile.segments())
        .extracting(Segment::durationUnits)
        .containsExactly(10_000L, 500L, 120_000L);
    assertThat(profile.segments().get(1).ratePerSecond()).isEqualByComparingTo("1500000");
  }

  @Test
  void carriesTheFractionOfARecordIntoTheNextSegment() throws Exception {
    // The floors of 0.5, 1, 1.5 and 2.
    assertThat(ProfileParser.parse("0.5:1s,0.5:1s,0.5:1s,0.5:1s").segments())
        .extracting(Segment::records)
        .containsExactly(0L, 1L, 0L, 1L);
  }

  @Test
  void countsExactlyWhereFloatingPointWouldBeOneShort() throws Exception {
    assertThat((long) (0.29 * 100)).isEqualTo(28);
    assertThat(ProfileParser.parse("0.29:100s").records()).isEqualTo(29);
  }

  @Test
  void takesARateOfZeroForAPause() throws Exception {
    Profile profile = ProfileParser.parse("10:1s,0:5s,10:1s");

    assertThat(profile.records()).isEqualTo(20);
    assertThat(profile.segmentOf(10).offsetMs(10)).isEqualTo(6_000);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "50k",
        "50k:",
        ":10s",
        "50k:10",
        "50k:0s",
        "-1:1s",
        "50K:1s",
        "1e3:1s",
        "50k:1s,",
        "50k:1.5s",
        "0.0001:1s",
        "0:10s",
        "50k:10s;3:1s",
        "\u0663:1s",
        "nan:1s",
        "9999999999999M:9999999999999m"
      })
  void refusesWhatIsNoProfileInOneLine(String spec) {
    assertThatThrownBy(() -> ProfileParser.parse(spec))
        .asInstanceOf(InstanceOfAssertFactories.type(InvalidInputException.class))
        .satisfies(
            e -> {
              assertThat(e.exitCode()).isEqualTo(64);
              assertThat(e.getMessage()).doesNotContain("\n");
            });
  }

  @Test
  void readsEachRowOfACsvAsAMinuteOfItsRequests() throws Exception {
    Profile profile = ProfileParser.parse("csv:" + csv("minute,requests\n0,45\n1,40\n"));

    assertThat(profile.segments()).extracting(Segment::records).containsExactly(45L, 40L);
    assertThat(profile.segmentOf(84).offsetMs(84)).isEqualTo(60_000 + 39 * 1_500);
  }

  @Test
  void scalesRequestsAndSpeedsUpMinutes() throws Exception {
    Profile profile =
        ProfileParser.parse(
            "csv:" + csv("minute,requests\r\n0, 45\r\n1,40\r\n") + ",scale=0.1,speedup=60");

    assertThat(profile.segments()).extracting(Segment::records).containsExactly(4L, 4L);
    assertThat(profile.segmentOf(4).offsetMs(4)).isEqualTo(1_000);
    assertThat(profile.segments().get(0).ratePerSecond()).isEqualByComparingTo("4.5");
  }

  @ParameterizedTest
  @ValueSource(strings = {"7", "0.7", "1.5", "2.50", "60000", "123456.789"})
  void movesNoRecordWhenASpeedupDoesNotDivideAMinute(String speedup) throws Exception {
    int rows = 21;
    String content =
        IntStream.range(0, rows)
            .mapToObj(minute -> minute + ",5\n")
            .collect(joining("", "h\n", ""));
    Profile profile = ProfileParser.parse("csv:" + csv(content) + ",speedup=" + speedup);

    BigDecimal factor = new BigDecimal(speedup);
    for (long record = 0; record < profile.records(); record++) {
      // The records are spread over the whole evenly, for each minute has as many.
      BigDecimal expected =
          BigDecimal.valueOf(record * 60_000L)
              .divideToIntegralValue(factor.multiply(BigDecimal.valueOf(5)));
      assertThat(profile.segmentOf(record).offsetMs(record)).isEqualTo(expected.longValueExact());
    }
    assertThat(profile.records()).isEqualTo(5L * rows);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "minute,requests\n",
        "h\n0,x\n",
        "h\n0,1,2\n",
        "h\n\n",
        "h\n0,-1\n",
        "h\nx,1\n",
        "h\n0,1\n2,1\n",
        "h\n0,1\n0,1\n",
        "h\n1,1\n0,1\n"
      })
  void refusesRowsThatAreNone(String content) throws Exception {
    Path csv = csv(content);

    assertThatThrownBy(() -> ProfileParser.parse("csv:" + csv))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(csv.toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"speed=2", "scale=0", "scale=a", "scale", "speedup=", "scale=-1"})
  void refusesOptionsThatAreNone(String option) throws Exception {
    Path csv = csv("h\n0,1\n");

    assertThatThrownBy(() -> ProfileParser.parse("csv:" + csv + "," + option))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("'" + option + "'");
  }

  @Test
  void saysThatACsvIsMissing() {
    assertThatThrownBy(() -> ProfileParser.parse("csv:" + folder.resolve("none.csv")))
        .asInstanceOf(InstanceOfAssertFactories.type(InvalidInputException.class))
        .extracting(InvalidInputException::exitCode)
        .isEqualTo(66);
  }

  @Test
  void saysThatACsvIsNoText() throws Exception {
    Path csv = folder.resolve("binary.csv");
    Files.write(csv, new byte[] {(byte) 0xff, '\n'});

    assertThatThrownBy(() -> ProfileParser.parse("csv:" + csv))
        .asInstanceOf(InstanceOfAssertFactories.type(InvalidInputException.class))
        .extracting(InvalidInputException::exitCode)
        .isEqualTo(65);
  }

  private Path csv(String content) throws Exception {
    return Files.writeString(folder.resolve("rates.csv"), content);
  }
}
