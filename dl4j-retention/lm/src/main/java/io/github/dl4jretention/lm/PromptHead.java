package io.github.dl4jretention.lm;

import java.util.Arrays;

/**
 * What a model knows about the tokens that several prompts begin with, such as worked examples: they are read once for all
 * calls of {@link Generator#generateAfter(PromptHead, java.util.List)}. It keeps the keys and values of decoder blocks, and
 * the states of LSTMs: close it. Not thread-safe.
 */
public final class PromptHead implements AutoCloseable {

    /** Tokens of a prompt that are computed at once. */
    private static final int PROMPT_STEP = 256;

    private final Steps steps;
    private final Steps.State state;
    private final int[] tokens;

    PromptHead(Steps steps, int[] tokens) {
        this.steps = steps;
        this.tokens = tokens.clone();
        read(new int[][] {tokens}, 0, tokens.length);
        state = steps.state();
    }

    /** @throws IllegalArgumentException if a prompt doesn't begin with these tokens, or has no more */
    void requireBegins(int number, int[] prompt) {
        int same = Arrays.mismatch(tokens, prompt);
        if (same != tokens.length) {
            throw new IllegalArgumentException("prompt " + number + ": expected the head's " + tokens.length
                    + " tokens and at least one more, got "
                    + (same < 0 || same == prompt.length ? "no more" : "another one at " + same));
        }
    }

    /**
     * {@return what has read all prompts until a time} What they begin with is read once.
     *
     * @param prompts of the same number of tokens, which begin with these
     * @param until   how many of their tokens
     */
    Steps begin(int[][] prompts, int until) {
        int known = prompts.length == 1 ? tokens.length : until;
        for (int[] prompt : prompts) {
            int same = Arrays.mismatch(prompt, prompts[0]);
            known = same < 0 ? known : Math.min(known, same);
        }
        known = Math.max(known, tokens.length);
        int[] all = new int[prompts.length];
        if (known > tokens.length) {
            steps.restore(state, new int[1]);
            read(new int[][] {prompts[0]}, tokens.length, known);
            try (Steps.State begun = steps.state()) {
                steps.restore(begun, all);
            }
        } else {
            steps.restore(state, all);
        }
        read(prompts, known, until);
        return steps;
    }

    private void read(int[][] ids, int from, int to) {
        for (int time = from; time < to; time += PROMPT_STEP) {
            int start = time;
            int end = Math.min(to, time + PROMPT_STEP);
            steps.read(Arrays.stream(ids)
                    .map(row -> Arrays.copyOfRange(row, start, end))
                    .toArray(int[][]::new));
        }
    }

    /** Frees what it keeps. */
    @Override
    public void close() {
        state.close();
    }
}
