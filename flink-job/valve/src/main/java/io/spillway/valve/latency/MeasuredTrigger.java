package io.spillway.valve.latency;

import io.spillway.valve.ValveOptions;
import org.apache.flink.configuration.IllegalConfigurationException;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.streaming.api.windowing.triggers.EventTimeTrigger;
import org.apache.flink.streaming.api.windowing.triggers.Trigger;
import org.apache.flink.streaming.api.windowing.triggers.TriggerResult;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;

/**
 * An {@link EventTimeTrigger} that times the local lane: Flink asks the trigger right after it has
 * put an element into the window's state. The job's records need not change for it.
 */
public final class MeasuredTrigger extends Trigger<Object, TimeWindow> {

  private static final long serialVersionUID = 1L;

  private final EventTimeTrigger trigger = EventTimeTrigger.create();
  private final int sample;
  private final long offsetMs;
  private final String logFile;

  /** Made on the TaskManager, one for each subtask. */
  private transient LaneLatency latency;

  private transient int untilSample;

  private MeasuredTrigger(int sample, long offsetMs, String logFile) {
    this.sample = sample;
    this.offsetMs = offsetMs;
    this.logFile = logFile;
  }

  /**
   * A trigger as the options say, see {@code spillway.valve.latency.*}.
   *
   * @throws IllegalConfigurationException if the sample is no number of at least 1
   */
  public static MeasuredTrigger of(ReadableConfig options) {
    try {
      return read(options);
    } catch (IllegalArgumentException e) {
      // Flink's own message names the option and the value that it could not parse.
      throw new IllegalConfigurationException(e.getMessage(), e);
    }
  }

  private static MeasuredTrigger read(ReadableConfig options) {
    int sample = options.get(ValveOptions.LATENCY_SAMPLE);
    if (sample < 1) {
      throw new IllegalConfigurationException(
          "The option '%s' is '%s', but must be at least 1.",
          ValveOptions.LATENCY_SAMPLE.key(), sample);
    }
    return new MeasuredTrigger(
        sample,
        options.get(ValveOptions.LATENCY_EVENT_TIME_OFFSET),
        options.get(ValveOptions.LATENCY_LOG));
  }

  @Override
  public TriggerResult onElement(
      Object element, long timestamp, TimeWindow window, TriggerContext context) throws Exception {
    if (--untilSample < 0) {
      untilSample = sample - 1;
      if (latency == null) {
        latency = LaneLatency.of(Lane.LOCAL, offsetMs, logFile);
      }
      latency.record(timestamp, System.currentTimeMillis(), 1);
    }
    return trigger.onElement(element, timestamp, window, context);
  }

  @Override
  public TriggerResult onEventTime(long time, TimeWindow window, TriggerContext context) {
    return trigger.onEventTime(time, window, context);
  }

  @Override
  public TriggerResult onProcessingTime(long time, TimeWindow window, TriggerContext context)
      throws Exception {
    return trigger.onProcessingTime(time, window, context);
  }

  @Override
  public boolean canMerge() {
    return trigger.canMerge();
  }

  @Override
  public void onMerge(TimeWindow window, OnMergeContext context) {
    trigger.onMerge(window, context);
  }

  @Override
  public void clear(TimeWindow window, TriggerContext context) throws Exception {
    trigger.clear(window, context);
  }

  @Override
  public String toString() {
    return "MeasuredTrigger(" + trigger + ", one in " + sample + ")";
  }
}
