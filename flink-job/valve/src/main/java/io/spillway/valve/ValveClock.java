package io.spillway.valve;

/** Time, as the valve sees it. */
interface ValveClock {

  /** The machine's clock. */
  ValveClock SYSTEM =
      new ValveClock() {
        @Override
        public long nanos() {
          return System.nanoTime();
        }

        @Override
        public long millis() {
          return System.currentTimeMillis();
        }
      };

  /** Monotonic, for durations. */
  long nanos();

  /** Wall clock, milliseconds since the epoch. */
  long millis();
}
