package io.spillway.valve;

/**
 * Decides whether a record stays in the local lane: the directive's lease, the token bucket, and
 * whether the local output has room, or has lacked it for a moment only.
 */
final class Admission {

  /** So many records may pass before the output is looked at again: less than a buffer of them. */
  private static final int RECORDS_PER_LOOK = 8;

  /**
   * The bucket holds 50 ms of the local rate: short enough that a spike is diverted before a queue
   * can form, long enough that a source which emits in clumps is not diverted below its mean rate.
   */
  private static final double DEPTH_SECONDS = 0.05;

  /**
   * An output without room is waited for with a tenth of the local rate, and 25 ms of that rate at
   * once. So the clump that a source emits after a window has fired stays local, while an output
   * that stays congested holds the source up for a tenth of the time at most.
   */
  private static final double PATIENT_SHARE = 0.1;

  private static final double PATIENT_SECONDS = 0.025;

  private final DirectiveSlot slot;
  private final CoarseClock clock;
  private final LocalOutput output;
  private final TokenBucket bucket = new TokenBucket(DEPTH_SECONDS);
  private final TokenBucket patience = new TokenBucket(PATIENT_SECONDS / PATIENT_SHARE);

  private DirectiveSlot.Lease lease;
  private boolean diverting;
  private int credits;
  private boolean congested;
  private int untilLook;

  Admission(DirectiveSlot slot, CoarseClock clock, LocalOutput output) {
    this.slot = slot;
    this.clock = clock;
    this.output = output;
  }

  /** Whether the next record stays local. If not, it may be diverted. */
  boolean staysLocal() {
    DirectiveSlot.Lease latest = slot.lease();
    if (latest != lease) {
      apply(latest);
    }
    if (!diverting) {
      return true;
    }
    boolean later = clock.advance();
    if (later) {
      if (!lease.holds(clock.nanos())) {
        stop();
        return true;
      }
      bucket.refill(clock.nanos());
      patience.refill(clock.nanos());
    }
    if (later || --untilLook <= 0) {
      untilLook = RECORDS_PER_LOOK;
      congested = output.congested();
    }
    if (!bucket.hasToken()) {
      return false;
    }
    if (congested) {
      if (!patience.hasToken()) {
        return false;
      }
      patience.take();
    }
    bucket.take();
    return true;
  }

  /** Charges the local rate for a record that goes local without having been asked for. */
  void charge() {
    bucket.take();
  }

  /** Batches that may be unsettled at once, by the directive in force. */
  int credits() {
    return credits;
  }

  private void apply(DirectiveSlot.Lease latest) {
    lease = latest;
    clock.read();
    if (!latest.directive().divert() || !latest.holds(clock.nanos())) {
      stop();
      return;
    }
    diverting = true;
    credits = latest.directive().credits();
    double rate = latest.directive().localRate();
    bucket.rate(rate, clock.nanos());
    // Without a limit the output alone says what must be diverted.
    patience.rate(Double.isInfinite(rate) ? 0 : rate * PATIENT_SHARE, clock.nanos());
    untilLook = 0;
  }

  private void stop() {
    diverting = false;
    credits = 0;
    bucket.rate(Double.POSITIVE_INFINITY, clock.nanos());
    patience.rate(Double.POSITIVE_INFINITY, clock.nanos());
  }
}
