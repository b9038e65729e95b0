package io.spillway.valve;

import java.io.Serializable;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.runtime.tasks.StreamTask;

/** The world outside the valve: time, network, randomness. Tests bring their own. */
interface ValveWiring extends Serializable {

  /** What a running valve is connected to; closed with the valve. */
  interface Connections extends AutoCloseable {

    BatchSender sender();

    /**
     * Starts reporting in the background, if there is a sidecar.
     *
     * @param ticks told that time has passed, every few milliseconds
     * @param slot where directives are left
     */
    void startReporting(ValveCounters counters, CoarseClock ticks, DirectiveSlot slot);

    /** Reports soon, since these are the last numbers. */
    void reportFinally();

    @Override
    void close();
  }

  ValveClock clock();

  /** So many records may share one reading of the clock. */
  int recordsPerClockReading();

  /** A random number in [0, 1), for back-off. */
  double random();

  /**
   * Finds the local lane's output. Asked while the operator is being made: once the chain stands,
   * Flink drops the configuration that tells how it is made.
   */
  LocalOutput localOutput(StreamTask<?, ?> task, StreamConfig operator);

  /** Connects the valve of one subtask. */
  Connections connect(ValveConfig config, ValveIdentity identity, LocalOutput output);
}
