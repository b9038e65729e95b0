package io.spillway.valve;

import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.IllegalConfigurationException;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.util.OutputTag;

/**
 * Puts a valve into a job, right behind the source:
 *
 * <pre>{@code
 * ValveStreams<byte[]> valve =
 *     Valve.named("valve").attach(source, RecordCodec.bytes(), env.getConfiguration());
 * valve.local().flatMap(…).keyBy(…).window(…)…;
 * valve.ledger().sinkTo(ledger);
 * }</pre>
 *
 * <p>The input needs event timestamps and watermarks.
 */
public final class Valve {

  private final String name;

  private Valve(String name) {
    this.name = name;
  }

  /**
   * Names the valve. The name is the operator's uid too: keep it when the job changes.
   *
   * @param name unique within the job, {@code [A-Za-z0-9_-][A-Za-z0-9._-]{0,127}}
   */
  public static Valve named(String name) {
    return new Valve(name);
  }

  /**
   * Attaches the valve to a stream, with the stream's parallelism.
   *
   * @param in records with event timestamps, best straight from the source, to which the valve is
   *     then chained
   * @param codec how a record becomes bytes
   * @param options see {@link ValveOptions}
   * @throws IllegalConfigurationException if an option is missing or out of its bounds
   */
  public <T> ValveStreams<T> attach(
      DataStream<T> in, RecordCodec<T> codec, ReadableConfig options) {
    ValveConfig config = ValveConfig.of(name, options);
    OutputTag<String> ledger = new OutputTag<>(name + "-ledger", Types.STRING);
    OutputTag<T> late = new OutputTag<>(name + "-late", in.getType());
    SingleOutputStreamOperator<T> local =
        in.transform(name, in.getType(), new ValveOperatorFactory<>(config, codec, ledger, late))
            .uid(name)
            .setParallelism(in.getParallelism());
    return new ValveStreams<>(
        local, local.getSideOutput(ledger).rebalance(), local.getSideOutput(late));
  }
}
