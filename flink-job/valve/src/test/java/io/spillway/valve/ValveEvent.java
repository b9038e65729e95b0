package io.spillway.valve;

/** What can happen to a valve. */
enum ValveEvent {
  /** A record of the first window. */
  OLD_RECORD,
  /** A record of the second window. */
  NEW_RECORD,
  /** One that closes the next window. */
  WATERMARK,
  /** The input becomes idle, or active again. */
  IDLENESS,
  /** A directive that gives the credits, or takes them away. */
  CREDITS,
  /** Time passes: as much as a batch lingers. Twice that is beyond its deadline and the lease. */
  TIME,
  /** One mail is read. */
  MAIL,
  /** The local output takes one record more from those that return, until time passes. */
  ROOM,
  /** The first send that has no answer gets one. */
  RECEIPT_OF_FIRST,
  RECEIPT_OF_SECOND,
  /** For good. */
  REFUSAL_OF_FIRST,
  /** For longer than it has until its deadline. */
  REFUSAL_OF_SECOND,
  /** Nobody knows what became of it. */
  FAILURE_OF_FIRST,
  FAILURE_OF_SECOND,
  CHECKPOINT,
  /** The attempt ends, and another one starts from the last checkpoint. */
  CRASH,
  END_WITH_RECEIPTS,
  END_WITH_REFUSALS,
  /** And then the job goes on from there. */
  STOP_WITH_SAVEPOINT;

  /** Whether nothing can happen after it. */
  boolean ends() {
    return compareTo(END_WITH_RECEIPTS) >= 0;
  }
}
