package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;

/** The coarse clock, the token bucket and how often the output is looked at. */
class AdmissionTest {

  private final ManualClock clock = new ManualClock();

  @Test
  void theCoarseClockIsReadEverySoManyRecordsAndAfterEachTick() {
    CoarseClock coarse = new CoarseClock(clock, 3);
    long start = coarse.millis();
    clock.advance(Duration.ofMillis(7));
    assertThat(coarse.advance()).isFalse();
    assertThat(coarse.advance()).isFalse();
    assertThat(coarse.millis()).isEqualTo(start);
    assertThat(coarse.advance()).isTrue();
    assertThat(coarse.millis()).isEqualTo(start + 7);

    clock.advance(Duration.ofMillis(5));
    assertThat(coarse.advance()).isFalse();
    coarse.tick();
    assertThat(coarse.advance()).isTrue();
    assertThat(coarse.millis()).isEqualTo(start + 12);
    assertThat(coarse.nanos()).isEqualTo(clock.nanos());
  }

  @Test
  void theBucketHoldsFiftyMillisecondsOfTheRate() {
    TokenBucket bucket = new TokenBucket();
    bucket.rate(1_000, 0);
    assertThat(drain(bucket)).isEqualTo(50);
    bucket.refill(10_000_000);
    assertThat(drain(bucket)).isEqualTo(10);
    bucket.refill(10_000_000_000L);
    assertThat(drain(bucket)).isEqualTo(50);
  }

  @Test
  void aSmallRateStillGetsItsTokens() {
    TokenBucket bucket = new TokenBucket();
    bucket.rate(1, 0);
    assertThat(drain(bucket)).isEqualTo(1);
    bucket.refill(999_999_999);
    assertThat(bucket.hasToken()).isFalse();
    bucket.refill(1_000_000_001);
    assertThat(bucket.hasToken()).isTrue();
  }

  @Test
  void aRateOfZeroHasNoTokenAndNoLimitAlwaysHas() {
    TokenBucket bucket = new TokenBucket();
    bucket.rate(0, 0);
    bucket.refill(1_000_000_000);
    assertThat(bucket.hasToken()).isFalse();
    bucket.rate(Double.POSITIVE_INFINITY, 2_000_000_000);
    for (int i = 0; i < 1_000; i++) {
      bucket.take();
    }
    assertThat(bucket.hasToken()).isTrue();
  }

  @Test
  void aNewRateNeitherGivesNorTakesWhatIsInTheBucket() {
    TokenBucket bucket = new TokenBucket();
    bucket.rate(1_000, 0);
    assertThat(drain(bucket)).isEqualTo(50);
    bucket.rate(2_000, 0);
    assertThat(bucket.hasToken()).isFalse();
    bucket.refill(5_000_000);
    assertThat(drain(bucket)).isEqualTo(10);
  }

  @Test
  void theDebtOfTheBucketIsBounded() {
    TokenBucket bucket = new TokenBucket();
    bucket.rate(1_000, 0);
    for (int i = 0; i < 10_000; i++) {
      bucket.take();
    }
    bucket.refill(50_000_000);
    assertThat(bucket.hasToken()).isFalse();
    bucket.refill(52_000_000);
    assertThat(bucket.hasToken()).isTrue();
  }

  @Test
  void returnedRecordsUseUpTheLocalRate() {
    Admission admission = admission(1_000);
    assertThat(admission.staysLocal()).isTrue();
    for (int i = 0; i < 60; i++) {
      admission.charge();
    }
    assertThat(admission.staysLocal()).isFalse();
  }

  @Test
  void theOutputIsLookedAtAtLeastEveryEightRecords() {
    FakeOutput output = new FakeOutput();
    Admission admission = admission(Double.POSITIVE_INFINITY, output);
    admission.staysLocal();
    output.congested = true;
    int kept = 0;
    while (admission.staysLocal()) {
      kept++;
    }
    assertThat(kept).isLessThan(8);
  }

  @Test
  void theOutputIsLookedAtForReturnedRecordsToo() {
    FakeOutput output = new FakeOutput();
    Admission admission = admission(Double.POSITIVE_INFINITY, output);
    admission.staysLocal();
    output.congested = true;
    int returned = 0;
    while (!admission.full() && returned < 100) {
      admission.charge();
      returned++;
    }
    assertThat(returned).isLessThanOrEqualTo(8);
  }

  @Test
  void lookingWithoutARecordBringsTheLocalRateUpToDate() {
    Admission admission = admission(1_000);
    while (admission.staysLocal()) {
      // What is in the bucket is spent.
    }
    clock.advance(Duration.ofMillis(10));
    admission.look();
    assertThat(admission.staysLocal()).isTrue();
  }

  private Admission admission(double rate) {
    return admission(rate, new FakeOutput());
  }

  private Admission admission(double rate, LocalOutput output) {
    DirectiveSlot slot = new DirectiveSlot(clock.nanos());
    slot.publish(new Directive(rate, true, 8, 60_000, "burst", ""), clock.nanos());
    return new Admission(slot, new CoarseClock(clock, 1_000), output);
  }

  private static int drain(TokenBucket bucket) {
    int taken = 0;
    while (bucket.hasToken()) {
      bucket.take();
      taken++;
    }
    return taken;
  }
}
