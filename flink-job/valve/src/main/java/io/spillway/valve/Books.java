package io.spillway.valve;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.annotation.Nullable;

/**
 * Record counts per window since the last books, and how they are written into the ledger. Being
 * differences, they need no state: what a failed attempt wrote is not committed, or is true.
 */
final class Books {

  private final String head;

  /** The checkpoint that the attempt started from; 0, which is none's number, if from nothing. */
  private long restored;

  private final long windowSizeMs;
  private final Map<Long, WindowCounts> windows = new HashMap<>();

  /** The window of the last look-up, since records come in runs of the same window. */
  private WindowCounts current = new WindowCounts(0, -1);

  /**
   * Opens the books of one attempt.
   *
   * @param identity whose books they are
   */
  Books(ValveConfig config, ValveIdentity identity) {
    this.windowSizeMs = config.windowSizeMs();
    // Names have no character that JSON would have to escape.
    this.head =
        "{\"type\":\"books\",\"version\":1,\"job\":\""
            + config.job()
            + "\",\"valve\":\""
            + config.valve()
            + "\",\"attempt\":\""
            + identity.attempt()
            + "\",\"subtask\":"
            + identity.subtask()
            + ",\"parallelism\":"
            + identity.parallelism();
  }

  /** Says which checkpoint the attempt starts from. */
  void startFrom(long checkpoint) {
    restored = checkpoint;
  }

  /** The counts of the window that a time belongs to. */
  WindowCounts at(long timeMs) {
    WindowCounts window = current;
    return window.contains(timeMs) ? window : lookUp(timeMs);
  }

  private WindowCounts lookUp(long timeMs) {
    long start = timeMs - Math.floorMod(timeMs, windowSizeMs);
    current = windows.computeIfAbsent(start, s -> new WindowCounts(s, lastOf(s)));
    return current;
  }

  private long lastOf(long startMs) {
    long last = startMs + windowSizeMs - 1;
    return last < startMs ? Long.MAX_VALUE : last;
  }

  /**
   * Closes the books of a barrier: one line for the ledger. Counting starts anew.
   *
   * @param checkpoint the barrier's id; null at the end of the input
   * @param watermarkMs the last watermark forwarded; {@link Long#MIN_VALUE} before the first
   * @param isFinal whether these are the last of a bounded input
   */
  String close(@Nullable Long checkpoint, long watermarkMs, boolean isFinal) {
    List<WindowCounts> changed = new ArrayList<>();
    for (WindowCounts window : windows.values()) {
      if (window.changed()) {
        changed.add(window);
      }
    }
    changed.sort(Comparator.comparingLong(window -> window.startMs));

    StringBuilder line = new StringBuilder(head.length() + 200 + 128 * changed.size());
    line.append(head).append(",\"restored\":").append(restored);
    line.append(",\"checkpoint\":").append(checkpoint);
    line.append(",\"window_size_ms\":").append(windowSizeMs);
    line.append(",\"watermark_ms\":");
    if (watermarkMs == Long.MIN_VALUE) {
      line.append("null");
    } else {
      line.append(watermarkMs);
    }
    line.append(",\"final\":").append(isFinal).append(",\"windows\":[");
    for (int i = 0; i < changed.size(); i++) {
      WindowCounts window = changed.get(i);
      line.append(i == 0 ? "{\"start_ms\":" : ",{\"start_ms\":").append(window.startMs);
      line.append(",\"received\":").append(window.received);
      line.append(",\"kept\":").append(window.kept);
      line.append(",\"diverted\":").append(window.diverted);
      line.append(",\"bounced\":").append(window.bounced);
      line.append(",\"late\":").append(window.late).append('}');
      window.reset();
    }
    // Windows of the open batch stay: its tally is kept in them.
    windows.values().removeIf(window -> window.inOpenBatch == 0 && window != current);
    return line.append("]}").toString();
  }
}
