package io.spillway.valve;

import java.util.concurrent.atomic.AtomicLong;

/** Where the control thread leaves the latest directive for the valve. */
final class DirectiveSlot {

  /**
   * A directive and until when it holds.
   *
   * @param expiresNanos on the monotonic clock
   */
  record Lease(Directive directive, long expiresNanos) {

    /** Whether it still holds. */
    boolean holds(long nowNanos) {
      return nowNanos - expiresNanos < 0;
    }
  }

  /** Before the first directive: everything goes local. */
  private static final Directive NOTHING_YET =
      new Directive(Double.POSITIVE_INFINITY, false, 0, 1, "local", "no directive yet");

  private final AtomicLong rejected = new AtomicLong();

  private volatile Lease lease;

  DirectiveSlot(long nowNanos) {
    lease = new Lease(NOTHING_YET, nowNanos);
  }

  Lease lease() {
    return lease;
  }

  /** Publishes a directive that arrived now. */
  void publish(Directive directive, long nowNanos) {
    lease = new Lease(directive, nowNanos + directive.leaseMs() * 1_000_000L);
  }

  /** Counts an answer that was no directive, or broke a bound. */
  void reject() {
    rejected.incrementAndGet();
  }

  /** How many answers were rejected. */
  long rejected() {
    return rejected.get();
  }
}
