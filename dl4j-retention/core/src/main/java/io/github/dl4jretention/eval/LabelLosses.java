package io.github.dl4jretention.eval;

import io.github.dl4jretention.loss.TokenWeight;
import io.github.dl4jretention.teacher.Teacher;
import java.util.Arrays;
import java.util.stream.DoubleStream;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/**
 * A teacher's losses on a text before training, token by token and sequence by sequence, to choose
 * {@link TokenWeight#selective} and {@link TokenWeight#flow} by:
 *
 * <pre>{@code
 * LabelLosses losses = LabelLosses.of(teacher, trainIterator);
 * TokenWeight most = TokenWeight.selective(losses.perplexity(0.9));    // nine tenths of the tokens are learned
 * TokenWeight easy = TokenWeight.flow(losses.median());
 * }</pre>
 *
 * <p>Losses are cross-entropies in nats. Tokens and masks count as in {@link TokenEvaluation}; each token whose weight
 * isn't 0 is one token. Takes 16 bytes of heap a token at most.
 */
public final class LabelLosses {

    private final double[] tokens;
    private final double[] sequences;

    private LabelLosses(double[] tokens, double[] sequences) {
        this.tokens = tokens;
        this.sequences = sequences;
    }

    /**
     * {@return the losses of all tokens of a text}
     *
     * @param teacher  a network or graph before it's finetuned, say
     * @param iterator the text that is trained on
     * @throws IllegalArgumentException if the teacher gives samples, labels, class ids, masks or weights don't fit, or no
     *     token counts
     */
    public static LabelLosses of(Teacher teacher, DataSetIterator iterator) {
        return of(teacher, new MultiDataSetIteratorAdapter(iterator));
    }

    /**
     * {@return the losses of all tokens of a text, of all outputs that the teacher has}
     *
     * @param teacher  a network or graph before it's finetuned, say
     * @param iterator the text that is trained on
     * @throws IllegalArgumentException as for a {@code DataSetIterator}
     */
    public static LabelLosses of(Teacher teacher, MultiDataSetIterator iterator) {
        DoubleStream.Builder tokens = DoubleStream.builder();
        DoubleStream.Builder sequences = DoubleStream.builder();
        TokenEvaluation.over(iterator, teacher, (losses, weights, time) -> {
            for (int start = 0; start < losses.length; start += time) {
                double sum = 0;
                double total = 0;
                for (int token = start; token < start + time; token++) {
                    if (weights[token] > 0) {
                        tokens.add(losses[token]);
                        sum += weights[token] * losses[token];
                        total += weights[token];
                    }
                }
                if (total > 0) {
                    sequences.add(sum / total);
                }
            }
        });
        LabelLosses losses = new LabelLosses(
                tokens.build().sorted().toArray(), sequences.build().sorted().toArray());
        if (losses.tokens.length == 0) {
            throw new IllegalArgumentException("iterator: expected a text with a token that counts, got none");
        }
        return losses;
    }

    /**
     * {@return the perplexity that a share of the tokens doesn't exceed, for {@link TokenWeight#selective}} A millionth is
     * added, so that the token itself is kept whatever the rounding in training.
     *
     * @param share in (0, 1]
     * @throws IllegalArgumentException if the share is outside of its range
     */
    public double perplexity(double share) {
        if (!(share > 0 && share <= 1)) {
            throw new IllegalArgumentException("share: expected a number in (0, 1], got " + share);
        }
        int rank = (int) Math.ceil(share * tokens.length) - 1;
        return Math.exp(tokens[Math.max(0, rank)] + 1e-6);
    }

    /** {@return the median of the sequences' mean losses in nats per token, for {@link TokenWeight#flow}} */
    public double median() {
        int half = sequences.length / 2;
        return sequences.length % 2 == 1 ? sequences[half] : (sequences[half - 1] + sequences[half]) / 2;
    }

    @Override
    public String toString() {
        return "LabelLosses(tokens=" + tokens.length + ", sequences=" + sequences.length + ", mean="
                + Arrays.stream(tokens).average().orElseThrow() + ", median=" + median() + ")";
    }
}
