package io.spillway.valve;

import static io.spillway.valve.ValveEvent.CHECKPOINT;
import static io.spillway.valve.ValveEvent.CRASH;
import static io.spillway.valve.ValveEvent.CREDITS;
import static io.spillway.valve.ValveEvent.END_WITH_RECEIPTS;
import static io.spillway.valve.ValveEvent.END_WITH_REFUSALS;
import static io.spillway.valve.ValveEvent.FAILURE_OF_SECOND;
import static io.spillway.valve.ValveEvent.IDLENESS;
import static io.spillway.valve.ValveEvent.MAIL;
import static io.spillway.valve.ValveEvent.NEW_RECORD;
import static io.spillway.valve.ValveEvent.OLD_RECORD;
import static io.spillway.valve.ValveEvent.RECEIPT_OF_FIRST;
import static io.spillway.valve.ValveEvent.RECEIPT_OF_SECOND;
import static io.spillway.valve.ValveEvent.REFUSAL_OF_FIRST;
import static io.spillway.valve.ValveEvent.REFUSAL_OF_SECOND;
import static io.spillway.valve.ValveEvent.TIME;
import static io.spillway.valve.ValveEvent.WATERMARK;
import static org.assertj.core.api.Assertions.assertThat;

import io.spillway.valve.Whereabouts.Place;
import io.spillway.valve.latency.Lane;
import io.spillway.valve.latency.LaneLatency;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.flink.runtime.operators.testutils.MockEnvironment;
import org.apache.flink.runtime.operators.testutils.MockEnvironmentBuilder;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * All that can happen to a valve with four records, in every order, up to so many events: from the
 * beginning, and on from where it gets intricate. What must hold after each event is in {@link
 * ValveLife}.
 *
 * <p>Of sequences that lead to the same situation only the first is gone on from. The shortest are
 * all gone on from, in case two situations are not as much the same as they look.
 */
@Timeout(120)
class ValveLifeCycleTest {

  /** Sequences up to this length are all gone on from. */
  private static final int SHORT = 2;

  /** Latencies wait for a report, for which a life is too short. */
  private static final int LIVES_TO_A_REPORT = 500;

  /** A sequence that can be gone on from, and with what. */
  private record Begun(List<ValveEvent> events, Set<ValveEvent> next) {}

  private final MockEnvironment[] environments = new MockEnvironment[ValveLife.ATTEMPTS];
  private final Set<String> situations = new HashSet<>();
  private final Set<ValveEvent> happened = EnumSet.noneOf(ValveEvent.class);
  private final Set<Place> places = EnumSet.noneOf(Place.class);
  private int sequences;

  ValveLifeCycleTest() {
    for (int i = 0; i < environments.length; i++) {
      environments[i] =
          new MockEnvironmentBuilder().setTaskName("valve").setMaxParallelism(16).build();
    }
  }

  @AfterEach
  void closeEnvironments() throws Exception {
    for (MockEnvironment environment : environments) {
      environment.close();
    }
    LaneLatency.drain(Lane.CLOUD);
  }

  @Test
  void fromTheBeginningWhateverHappens() {
    // With less than four records there is no second batch.
    explore(
        2, List.of(), without(RECEIPT_OF_SECOND, REFUSAL_OF_SECOND, FAILURE_OF_SECOND), 4, 3_248);
  }

  @Test
  void withTwoBatchesInFlightWhateverBecomesOfThem() {
    explore(
        2,
        List.of(OLD_RECORD, NEW_RECORD, NEW_RECORD, OLD_RECORD),
        without(OLD_RECORD, NEW_RECORD, CREDITS, IDLENESS),
        5,
        7_235);
  }

  @Test
  void withABatchInFlightAndOneOpenWhateverIsCommitted() {
    explore(
        2,
        List.of(NEW_RECORD, NEW_RECORD, OLD_RECORD),
        EnumSet.of(
            OLD_RECORD,
            MAIL,
            RECEIPT_OF_FIRST,
            REFUSAL_OF_FIRST,
            CHECKPOINT,
            CRASH,
            END_WITH_RECEIPTS),
        7,
        682);
  }

  @Test
  void withOneCreditWhateverComesBetween() {
    explore(
        1,
        List.of(NEW_RECORD),
        EnumSet.of(
            OLD_RECORD,
            NEW_RECORD,
            WATERMARK,
            IDLENESS,
            CREDITS,
            TIME,
            MAIL,
            RECEIPT_OF_FIRST,
            REFUSAL_OF_FIRST,
            END_WITH_RECEIPTS,
            END_WITH_REFUSALS),
        5,
        5_430);
  }

  @Test
  void restoredWithABatchInFlightAndOneOpenWhateverHappens() {
    explore(
        2,
        List.of(OLD_RECORD, NEW_RECORD, NEW_RECORD, CHECKPOINT, CRASH),
        without(CRASH, IDLENESS, RECEIPT_OF_SECOND, REFUSAL_OF_SECOND, FAILURE_OF_SECOND),
        5,
        4_703);
  }

  private static Set<ValveEvent> without(ValveEvent... events) {
    Set<ValveEvent> others = EnumSet.allOf(ValveEvent.class);
    others.removeAll(List.of(events));
    return others;
  }

  /**
   * Plays all sequences of so many events after the first ones.
   *
   * @param least how many they are at least: fewer would show less without anybody noticing
   */
  private void explore(
      int credits, List<ValveEvent> first, Set<ValveEvent> alphabet, int longest, int least) {
    List<Begun> begun = List.of(new Begun(first, play(credits, first, alphabet, false)));
    for (int length = 1; length <= longest; length++) {
      List<Begun> longer = new ArrayList<>();
      for (Begun one : begun) {
        for (ValveEvent event : one.next()) {
          List<ValveEvent> more = new ArrayList<>(one.events());
          more.add(event);
          int before = situations.size();
          Set<ValveEvent> next = play(credits, more, alphabet, length == longest);
          if (length <= SHORT || situations.size() > before) {
            longer.add(new Begun(more, next));
          }
        }
      }
      begun = longer;
    }
    assertThat(sequences).isGreaterThanOrEqualTo(least);
    assertThat(happened).containsAll(alphabet);
    assertThat(places).contains(Place.KEPT, Place.BOUNCED, Place.RECEIPTED);
  }

  /** Plays a sequence to its end; says what may come next, if it can be gone on from. */
  private Set<ValveEvent> play(
      int credits, List<ValveEvent> sequence, Set<ValveEvent> alphabet, boolean isLongest) {
    if (sequences++ % LIVES_TO_A_REPORT == 0) {
      LaneLatency.drain(Lane.CLOUD);
    }
    Set<ValveEvent> next = EnumSet.noneOf(ValveEvent.class);
    try (ValveLife life = new ValveLife(credits, environments)) {
      for (ValveEvent event : sequence) {
        life.happen(event);
      }
      happened.addAll(sequence);
      if (!sequence.isEmpty() && sequence.get(sequence.size() - 1).ends()) {
        places.addAll(life.places());
      } else if (isLongest) {
        life.happen(END_WITH_RECEIPTS);
      } else {
        situations.add(life.situation());
        alphabet.stream().filter(life::enabled).forEach(next::add);
      }
    } catch (AssertionError | Exception e) {
      throw new AssertionError("After " + sequence + ": " + e.getMessage(), e);
    }
    return next;
  }
}
