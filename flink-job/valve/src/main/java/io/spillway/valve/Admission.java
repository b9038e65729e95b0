package io.spillway.valve;

/**
 * Decides whether a record stays in the local lane: the directive's lease, the token bucket, and
 * whether the local output has room.
 */
final class Admission {

  /** So many records may pass before the output is looked at again: less than a buffer of them. */
  private static final int RECORDS_PER_LOOK = 8;

  private final DirectiveSlot slot;
  private final CoarseClock clock;
  private final LocalOutput output;
  private final TokenBucket bucket = new TokenBucket();

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
    }
    if (later || --untilLook <= 0) {
      lookAtOutput();
    }
    if (!congested && bucket.hasToken()) {
      bucket.take();
      return true;
    }
    return false;
  }

  /**
   * Whether the local output has so little room, as far as was last looked, that nothing should go
   * there which may be diverted. An output that nothing leaves any more would else be filled to the
   * last buffer, and then Flink suspends the task: nothing could be diverted either.
   */
  boolean full() {
    return diverting && congested;
  }

  /** Looks at lease and output anew, without a record. */
  void look() {
    DirectiveSlot.Lease latest = slot.lease();
    clock.read();
    if (latest != lease) {
      apply(latest);
    } else if (diverting && !lease.holds(clock.nanos())) {
      stop();
    }
    bucket.refill(clock.nanos());
    lookAtOutput();
  }

  /** Charges the local rate for a record that goes local without having been asked for. */
  void charge() {
    bucket.take();
    if (--untilLook <= 0) {
      lookAtOutput();
    }
  }

  /** When the lease in force ends, on the monotonic clock. */
  long leaseEnds() {
    return lease.expiresNanos();
  }

  /** Batches that may be in flight at once, by the directive in force. */
  int credits() {
    return credits;
  }

  private void lookAtOutput() {
    untilLook = RECORDS_PER_LOOK;
    congested = output.congested();
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
    bucket.rate(latest.directive().localRate(), clock.nanos());
    untilLook = 0;
  }

  private void stop() {
    diverting = false;
    credits = 0;
    bucket.rate(Double.POSITIVE_INFINITY, clock.nanos());
  }
}
