package io.spillway.jobs.wordcount;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.functions.DefaultOpenContext;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.util.Collector;
import org.junit.jupiter.api.Test;

class TokenizerTest {

  @Test
  void countsARecordWithItsFirstWordOnly() throws Exception {
    assertThat(tokens("To be, or", "not")).containsExactly("to 1", "be 0", "or 0", "not 1");
  }

  @Test
  void countsARecordWithoutWordsWithTheEmptyWord() throws Exception {
    assertThat(tokens("", " ,.", "be", "")).containsExactly(" 1", " 1", "be 1", " 1");
  }

  @Test
  void theEmptyWordIsCountedAsARecordButNotAsAWord() {
    Count count = new Count();
    Tally tally = count.add(Tuple2.of(Tokenizer.NO_WORD, 1), count.createAccumulator());

    assertThat(tally.records).isEqualTo(1);
    assertThat(tally.count).isZero();
  }

  @Test
  void talliesMergeToTheirSum() {
    Count count = new Count();
    Tally one = count.add(Tuple2.of("be", 1), count.createAccumulator());
    Tally two =
        count.add(Tuple2.of("be", 0), count.add(Tuple2.of("be", 1), count.createAccumulator()));

    Tally sum = count.merge(one, two);

    assertThat(sum.records).isEqualTo(2);
    assertThat(sum.count).isEqualTo(3);
  }

  private static List<String> tokens(String... records) throws Exception {
    Tokenizer tokenizer = new Tokenizer();
    tokenizer.open(DefaultOpenContext.INSTANCE);
    List<String> tokens = new ArrayList<>();
    // The tokenizer emits one object over and over, so what it holds is taken at once.
    Collector<Tuple2<String, Integer>> collector =
        new Collector<>() {
          @Override
          public void collect(Tuple2<String, Integer> token) {
            tokens.add(token.f0 + " " + token.f1);
          }

          @Override
          public void close() {}
        };
    for (String record : records) {
      tokenizer.flatMap(record.getBytes(StandardCharsets.UTF_8), collector);
    }
    return tokens;
  }
}
