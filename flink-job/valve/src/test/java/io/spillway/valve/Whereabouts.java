package io.spillway.valve;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

/**
 * Where each record is that a valve has received over its attempts, and what the books told of it.
 * A record is in one place for good, unless the attempt ends before that is committed.
 */
final class Whereabouts {

  static final int WINDOW_MS = 1_000;

  /** Records belong to the first or the second window. */
  static final int WINDOWS = 2;

  /** Where a record is. In this order a window's books are added up, the first being received. */
  enum Place {
    UNSETTLED("received"),
    KEPT("kept"),
    BOUNCED("bounced"),
    RECEIPTED("diverted"),
    LATE("late");

    private final String inBooks;

    Place(String inBooks) {
      this.inBooks = inBooks;
    }
  }

  private record Item(int window, Place place) {}

  private final List<Item> items = new ArrayList<>();
  private List<Item> committed = List.of();

  private final long[][] told = new long[WINDOWS][Place.values().length];
  private final long[][] toldSinceCommit = new long[WINDOWS][Place.values().length];

  /** What the current attempt did. */
  private final long[] placed = new long[Place.values().length];

  /** An attempt ends; what it had not committed is as if it had never been. */
  void rollBack() {
    items.clear();
    items.addAll(committed);
    Arrays.fill(placed, 0);
    for (long[] window : toldSinceCommit) {
      Arrays.fill(window, 0);
    }
  }

  /** Receives a record; its number. */
  int receive(int window) {
    items.add(new Item(window, Place.UNSETTLED));
    return items.size() - 1;
  }

  /** A record has come to its place. */
  void place(int record, Place place) {
    Item item = items.get(record);
    if (item.place != Place.UNSETTLED) {
      throw new AssertionError("Record " + record + " is " + item.place + " and " + place);
    }
    items.set(record, new Item(item.window, place));
    placed[place.ordinal()]++;
  }

  /** How many records there are, which are the numbers below. */
  int count() {
    return items.size();
  }

  Place of(int record) {
    return items.get(record).place;
  }

  boolean isUnsettled(int record) {
    return of(record) == Place.UNSETTLED;
  }

  int windowOf(int record) {
    return items.get(record).window;
  }

  /** The last millisecond of a record's window. */
  long lastMs(int record) {
    return lastMsOf(windowOf(record));
  }

  /** The last millisecond of a window. */
  static long lastMsOf(int window) {
    return (window + 1L) * WINDOW_MS - 1;
  }

  long unsettled() {
    return items.stream().filter(item -> item.place == Place.UNSETTLED).count();
  }

  /** How many records the current attempt has brought to a place. */
  long placed(Place place) {
    return placed[place.ordinal()];
  }

  /** Books came out. */
  void tell(JsonNode books) {
    for (JsonNode window : books.get("windows")) {
      long[] sums = toldSinceCommit[(int) (window.get("start_ms").longValue() / WINDOW_MS)];
      for (Place place : Place.values()) {
        sums[place.ordinal()] += window.get(place.inBooks).longValue();
      }
    }
  }

  /** What came out so far is committed, and the books must tell of it, and of nothing else. */
  void commit() {
    committed = List.copyOf(items);
    for (int window = 0; window < WINDOWS; window++) {
      long[] truth = new long[Place.values().length];
      for (Item item : items) {
        if (item.window == window) {
          truth[0]++;
          if (item.place != Place.UNSETTLED) {
            truth[item.place.ordinal()]++;
          }
        }
      }
      for (int i = 0; i < truth.length; i++) {
        told[window][i] += toldSinceCommit[window][i];
        toldSinceCommit[window][i] = 0;
      }
      if (!Arrays.equals(told[window], truth)) {
        throw new AssertionError(
            "The books tell " + Arrays.toString(told[window]) + ", not " + Arrays.toString(truth));
      }
    }
  }

  /** How many records are where, now and at the last commit. */
  String situation() {
    StringBuilder all = new StringBuilder();
    for (List<Item> some : List.of(items, committed)) {
      long[][] counts = new long[WINDOWS][Place.values().length];
      some.forEach(item -> counts[item.window][item.place.ordinal()]++);
      all.append(Arrays.deepToString(counts));
    }
    return all.toString();
  }
}
