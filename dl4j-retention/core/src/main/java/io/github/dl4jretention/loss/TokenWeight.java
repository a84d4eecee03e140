package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.JsonFields;
import java.io.Serializable;
import java.util.Locale;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * What a token's cross-entropy is multiplied by, so that tokens which would change the model most teach it less:
 *
 * <pre>
 * loss = sum over unmasked tokens of [ w CE(y, p) + lambda T^2 D(p0^(T), p^(T)) ]
 * </pre>
 *
 * <p>No gradient flows through w, and the divergence isn't weighted. With {@code l = sum_v y(v) log p(v)}, the
 * student's log-probability of the label, {@code l0} the teacher's, and p at temperature 1:
 *
 * <table>
 * <caption>the weights</caption>
 * <tr><th>made by</th><th>w</th><th>needs</th></tr>
 * <tr><td>{@link #eaft}</td><td>entropy of the student's k likeliest classes, divided by {@code log k}</td><td></td></tr>
 * <tr><td>{@link #dft}</td><td>{@code exp(l)}, the label's probability</td><td></td></tr>
 * <tr><td>{@link #talr}</td><td>{@code exp(l / tau)}</td><td></td></tr>
 * <tr><td>{@link #selective}</td><td>1 where {@code exp(-l0) <= threshold}, else 0</td><td>teacher</td></tr>
 * <tr><td>{@link #flow}</td><td>{@code exp(mean of l0 over the sequence / tau)}</td><td>teacher</td></tr>
 * </table>
 *
 * <p>All lie in [0, 1]. A weight that needs the teacher needs its probability of each label: a live teacher or a cache
 * with the codec {@code half} has it, samples and top-k caches don't and are refused at the first batch, as are batches
 * without a teacher. Where only a score is asked for, labels without a teacher give the unweighted cross-entropy.
 * Label smoothing doesn't touch the weight. What listeners and evaluations report as cross-entropy is unweighted;
 * scores and {@link TokenLoss#sum()} are what's minimised.
 *
 * @param kind      which weight
 * @param parameter k, tau or the threshold; 1 for {@link Kind#DFT}, which has none
 */
@JsonFields
public record TokenWeight(Kind kind, double parameter) implements Serializable {

    private static final Pattern DESCRIPTION = Pattern.compile("(\\w+)\\(([-+.\\dE]*)\\)");

    /** Kinds of weights. */
    public enum Kind {
        /** See {@link TokenWeight#eaft}. */
        EAFT,
        /** See {@link TokenWeight#dft}. */
        DFT,
        /** See {@link TokenWeight#talr}. */
        TALR,
        /** See {@link TokenWeight#selective}. */
        SELECTIVE,
        /** See {@link TokenWeight#flow}. */
        FLOW
    }

    /**
     * Checks the parameter.
     *
     * @param kind      which weight
     * @param parameter k, tau or the threshold; of no effect for {@link Kind#DFT}
     * @throws IllegalArgumentException if the parameter is outside of its range
     */
    @JsonCreator
    public TokenWeight(@JsonProperty("kind") Kind kind, @JsonProperty("parameter") double parameter) {
        this.kind = Objects.requireNonNull(kind, "kind");
        this.parameter = kind == Kind.DFT ? 1 : parameter;
        switch (kind) {
            case EAFT -> require(
                    parameter >= 2 && parameter <= Integer.MAX_VALUE && parameter == Math.rint(parameter),
                    "k: expected a whole number of at least 2, got ");
            case SELECTIVE -> require(
                    parameter >= 1 && Double.isFinite(parameter),
                    "threshold: expected a finite perplexity of at least 1, got ");
            case TALR, FLOW -> require(
                    parameter > 0 && Double.isFinite(parameter), "tau: expected a finite number of nats above 0, got ");
            case DFT -> {}
        }
    }

    private void require(boolean condition, String message) {
        if (!condition) {
            throw new IllegalArgumentException(message + parameter);
        }
    }

    /**
     * {@return the entropy of the student's k likeliest classes, their probabilities made to sum to 1, divided by
     * {@code log k}} A token of which the student is sure teaches little, be it right or wrong.
     *
     * <p>Source: Diao et al., Entropy-Adaptive Fine-Tuning, <a href="https://arxiv.org/abs/2601.02151">arXiv
     * 2601.02151</a>, with k = 20.
     *
     * @param k number of classes, at least 2 and at most the vocabulary
     */
    public static TokenWeight eaft(int k) {
        return new TokenWeight(Kind.EAFT, k);
    }

    /**
     * {@return the student's probability of the label} With forward KL from the teacher beside it this is anchored
     * supervised finetuning (ASFT).
     *
     * <p>Source: Wu et al., On the Generalization of SFT (dynamic finetuning),
     * <a href="https://arxiv.org/abs/2508.05629">arXiv 2508.05629</a>; Zhu et al., Anchored Supervised Fine-Tuning,
     * <a href="https://arxiv.org/abs/2509.23753">arXiv 2509.23753</a>.
     */
    public static TokenWeight dft() {
        return new TokenWeight(Kind.DFT, 1);
    }

    /**
     * {@return the student's probability of the label to the power {@code 1 / tau}} The larger tau, the nearer all
     * weights are to 1; at 1 it's {@link #dft()}.
     *
     * <p>Source: Lin et al., SFT Doesn't Always Hurt General Capabilities (token-adaptive loss reweighting),
     * <a href="https://arxiv.org/abs/2509.20758">arXiv 2509.20758</a>. There tau follows the minibatch; here it's
     * constant, so that splitting a minibatch changes nothing.
     *
     * @param tau in nats, finite and above 0
     */
    public static TokenWeight talr(double tau) {
        return new TokenWeight(Kind.TALR, tau);
    }

    /**
     * {@return 1 for labels whose perplexity under the teacher is at most the threshold, 0 for others}
     *
     * <p>Source: Wu et al., Mitigating Forgetting in LLM Fine-Tuning via Low-Perplexity Token Learning (selective token
     * masking), <a href="https://arxiv.org/abs/2501.14315">arXiv 2501.14315</a>, with thresholds around 2.5.
     * {@code LabelLosses} finds the threshold that a share of a text's tokens is below.
     *
     * @param threshold perplexity {@code 1 / p0(label)}, finite and at least 1
     */
    public static TokenWeight selective(double threshold) {
        return new TokenWeight(Kind.SELECTIVE, threshold);
    }

    /**
     * {@return {@code exp(-loss / tau)} for all tokens of a sequence, with the teacher's mean loss over the sequence's
     * tokens, each weighted by the label mask} So sequences that the teacher knows well teach more. With truncated
     * backpropagation through time the mean is over one segment, for the layer sees no more; in a SameDiff model it's over
     * one entry of the logits' first axis, so logits should be {@code [batch, time, V]}.
     *
     * <p>Source: Sanyal et al., Upweighting Easy Samples in Fine-Tuning Mitigates Forgetting (FLOW),
     * <a href="https://arxiv.org/abs/2502.02797">arXiv 2502.02797</a>, algorithm 1, where tau is the median of the
     * sequences' losses; {@code LabelLosses} measures it.
     *
     * @param tau in nats, finite and above 0
     */
    public static TokenWeight flow(double tau) {
        return new TokenWeight(Kind.FLOW, tau);
    }

    /**
     * {@return the weight of a description, as {@link #toString} gives it: {@code eaft(20)}, {@code dft()}}
     *
     * @param description name and parameter
     * @throws IllegalArgumentException if there is none
     */
    public static TokenWeight of(String description) {
        Matcher parts = DESCRIPTION.matcher(description);
        for (Kind kind : Kind.values()) {
            if (parts.matches() && parts.group(1).equals(kind.name().toLowerCase(Locale.ROOT))) {
                return new TokenWeight(kind, kind == Kind.DFT ? 1 : Double.parseDouble(parts.group(2)));
            }
        }
        throw new IllegalArgumentException("tokenWeight: expected eaft(K), dft(), talr(TAU), selective(THRESHOLD) or"
                + " flow(TAU), got \"" + description + "\"");
    }

    /** {@return whether the weight follows from the teacher's values rather than from the student's} */
    public boolean needsTeacher() {
        return kind == Kind.SELECTIVE || kind == Kind.FLOW;
    }

    /**
     * {@return the weight of a label's log-probability: the student's, the teacher's for {@link Kind#SELECTIVE}, the mean
     * of the teacher's over the sequence for {@link Kind#FLOW}}
     *
     * @param logProbability in nats, at most 0
     * @throws IllegalStateException for {@link Kind#EAFT}, which doesn't follow from it
     */
    public double at(double logProbability) {
        return switch (kind) {
            case DFT, TALR, FLOW -> Math.exp(logProbability / parameter);
            case SELECTIVE -> -logProbability <= Math.log(parameter) ? 1 : 0;
            case EAFT -> throw new IllegalStateException("an entropy doesn't follow from the label's probability");
        };
    }

    /**
     * Refuses a vocabulary of fewer classes than an entropy is taken of.
     *
     * @param vocabulary V
     * @throws IllegalArgumentException if k is larger
     */
    public void requireVocabulary(long vocabulary) {
        if (kind == Kind.EAFT && parameter > vocabulary) {
            throw new IllegalArgumentException("tokenWeight: expected k of at most the vocabulary, " + vocabulary
                    + ", for the entropy of the k likeliest classes, got " + (long) parameter);
        }
    }

    @Override
    public String toString() {
        String name = kind.name().toLowerCase(Locale.ROOT);
        return kind == Kind.DFT
                ? "dft()"
                : name + "(" + (kind == Kind.EAFT ? String.valueOf((long) parameter) : parameter) + ")";
    }

    /** By the kind's name: an enum's own hash code differs from one JVM to the next. */
    @Override
    public int hashCode() {
        return Objects.hash(kind.name(), parameter);
    }
}
