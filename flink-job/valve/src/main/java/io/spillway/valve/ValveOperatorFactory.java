package io.spillway.valve;

import org.apache.flink.streaming.api.operators.AbstractStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.ChainingStrategy;
import org.apache.flink.streaming.api.operators.OneInputStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.operators.legacy.YieldingOperatorFactory;
import org.apache.flink.util.OutputTag;

/**
 * Makes valves on the TaskManagers. It is chained to what comes before it: a source that is a task
 * of its own would be one more queue in front of the valve, in which a spike waits.
 */
@SuppressWarnings(
    "deprecation") // YieldingOperatorFactory: only it keeps Flink from chaining us to a
// source with a thread of its own, in which waiting for the mailbox is not possible.
final class ValveOperatorFactory<T> extends AbstractStreamOperatorFactory<T>
    implements OneInputStreamOperatorFactory<T, T>, YieldingOperatorFactory<T> {

  private static final long serialVersionUID = 1L;

  private final ValveConfig config;
  private final RecordCodec<T> codec;
  private final OutputTag<String> ledger;
  private final OutputTag<T> late;
  private final ValveWiring wiring;

  ValveOperatorFactory(
      ValveConfig config, RecordCodec<T> codec, OutputTag<String> ledger, OutputTag<T> late) {
    this(config, codec, ledger, late, new NetworkWiring());
  }

  /** With another outside world, for tests. */
  ValveOperatorFactory(
      ValveConfig config,
      RecordCodec<T> codec,
      OutputTag<String> ledger,
      OutputTag<T> late,
      ValveWiring wiring) {
    this.config = config;
    this.codec = codec;
    this.ledger = ledger;
    this.late = late;
    this.wiring = wiring;
    setChainingStrategy(ChainingStrategy.ALWAYS);
  }

  @Override
  @SuppressWarnings("unchecked") // The signature lets the caller name any operator type.
  public <O extends StreamOperator<T>> O createStreamOperator(
      StreamOperatorParameters<T> parameters) {
    return (O) new ValveOperator<>(parameters, config, codec, ledger, late, wiring);
  }

  @Override
  @SuppressWarnings("rawtypes") // As the overridden method has it.
  public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
    return ValveOperator.class;
  }
}
