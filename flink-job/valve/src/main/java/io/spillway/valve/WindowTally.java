package io.spillway.valve;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * How many records of a sealed batch belong to which window.
 *
 * @param starts of the windows, ascending
 * @param records of each, at least 1
 */
record WindowTally(long[] starts, long[] records) {

  /** Collects the tally of the open batch in the windows themselves: no look-up per record. */
  static final class Builder {

    private final List<WindowCounts> touched = new ArrayList<>();

    /** Counts one record. */
    void add(WindowCounts window) {
      if (window.inOpenBatch++ == 0) {
        touched.add(window);
      }
    }

    /** The tally so far; starts anew. */
    WindowTally build() {
      touched.sort(Comparator.comparingLong(window -> window.startMs));
      long[] starts = new long[touched.size()];
      long[] records = new long[touched.size()];
      for (int i = 0; i < starts.length; i++) {
        WindowCounts window = touched.get(i);
        starts[i] = window.startMs;
        records[i] = window.inOpenBatch;
        window.inOpenBatch = 0;
      }
      touched.clear();
      return new WindowTally(starts, records);
    }
  }

  int windows() {
    return starts.length;
  }
}
