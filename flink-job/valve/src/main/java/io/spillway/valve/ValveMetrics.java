package io.spillway.valve;

import io.spillway.valve.ValveCounters.Count;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.MetricGroup;

/** The valve's metrics, in the operator's group {@code spillway}. */
final class ValveMetrics {

  private ValveMetrics() {}

  /** Registers all of them. They are read from the reporters' threads. */
  static void register(MetricGroup group, ValveCounters counters, DirectiveSlot directives) {
    for (Count count : Count.values()) {
      group.<Long, Gauge<Long>>gauge(count.metric(), () -> counters.get(count));
    }
    group.<Long, Gauge<Long>>gauge("rejectedDirectives", directives::rejected);
    group.<Integer, Gauge<Integer>>gauge("credits", () -> directives.lease().directive().credits());
    group.<Double, Gauge<Double>>gauge(
        "localRate", () -> directives.lease().directive().localRate());
    group.<String, Gauge<String>>gauge("mode", () -> directives.lease().directive().mode());
  }
}
