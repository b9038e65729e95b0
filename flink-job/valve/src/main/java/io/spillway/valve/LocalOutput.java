package io.spillway.valve;

/**
 * How full the local lane's network buffers are.
 *
 * <p>Flink suspends a task whose output has no buffer left; a suspended source hands no records to
 * the valve, so nothing could be diverted any more. The valve must therefore act before that, while
 * there is still room. Safe to ask from any thread.
 */
interface LocalOutput {

  /** Whether so little room is left that a record had better be diverted. */
  boolean congested();

  /** Whether a record can be emitted without blocking the task. */
  boolean available();

  /** An output that always has room: everything behind the valve is chained to it. */
  LocalOutput UNLIMITED =
      new LocalOutput() {
        @Override
        public boolean congested() {
          return false;
        }

        @Override
        public boolean available() {
          return true;
        }
      };
}
