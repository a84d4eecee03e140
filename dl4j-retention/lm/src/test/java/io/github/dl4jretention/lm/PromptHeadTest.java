package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** How often tokens are read; GeneratorTest says that the texts are the same. */
class PromptHeadTest {

    /** Counts tokens, and knows of each sequence what it has read. */
    private static final class Counted implements Steps {

        private int read;
        private int[][] sequences = {{}};

        private record Copy(int[][] sequences) implements State {

            @Override
            public void close() {}
        }

        @Override
        public void read(int[][] ids) {
            for (int i = 0; i < ids.length; i++) {
                read += ids[i].length;
                int[] before = sequences[i];
                sequences[i] = Arrays.copyOf(before, before.length + ids[i].length);
                System.arraycopy(ids[i], 0, sequences[i], before.length, ids[i].length);
            }
        }

        @Override
        public float[][] next(int[][] ids) {
            throw new UnsupportedOperationException("prompts are only read");
        }

        @Override
        public State state() {
            return new Copy(sequences.clone());
        }

        @Override
        public void restore(State state, int[] rows) {
            int[][] copied = ((Copy) state).sequences();
            sequences = Arrays.stream(rows).mapToObj(row -> copied[row]).toArray(int[][]::new);
        }
    }

    private static int[] tokens(int count, int last) {
        int[] tokens = IntStream.range(0, count).toArray();
        tokens[count - 1] = last;
        return tokens;
    }

    @Test
    void a_head_is_read_once_for_all_calls_and_what_a_call_shares_once_a_call() {
        Counted steps = new Counted();
        int[][] prompts = {tokens(700, 1), tokens(700, 2), tokens(700, 3)};
        try (PromptHead head = new PromptHead(steps, Arrays.copyOf(prompts[0], 600))) {
            assertEquals(600, steps.read);
            head.begin(prompts, 700);
            assertEquals(600 + 99 + 3, steps.read);
            assertArrayEquals(prompts, steps.sequences);
            head.begin(prompts, 700);
            assertEquals(600 + 2 * (99 + 3), steps.read);
            assertArrayEquals(prompts, steps.sequences);
            head.begin(new int[][] {prompts[1]}, 650);
            assertEquals(600 + 2 * (99 + 3) + 50, steps.read);
        }
    }
}
