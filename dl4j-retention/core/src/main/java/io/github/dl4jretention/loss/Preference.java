package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.JsonFields;
import java.io.Serializable;
import java.util.Arrays;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.IntStream;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * Learning from pairs of answers, one of them preferred, in the place of the cross-entropy. A minibatch has an even number
 * of sequences: 0, 2, 4 and so on are chosen, 1, 3, 5 the rejected ones of the same pair. The label mask is 1 for the
 * answers' tokens and 0 for prompts and padding. With sums over a sequence's n answer tokens
 *
 * <pre>
 * l = sum log p(y),   l0 = sum log p0(y),   sigma(x) = 1 / (1 + exp(-x)),   c chosen, r rejected
 *
 * DPO     h = beta ((l_c - l0_c) - (l_r - l0_r)),      loss = -(1 - e) log sigma(h) - e log sigma(-h)
 * IPO     h = (l_c - l0_c) / n_c - (l_r - l0_r) / n_r, loss = (h - 1 / (2 beta))^2
 * SimPO   h = beta (l_c / n_c - l_r / n_r) - gamma,    loss = -log sigma(h)
 * </pre>
 *
 * <p>the score is the mean over pairs: each of a pair's two sequences has the pair's loss, their sum is divided by the
 * number of sequences, and {@code lambda T^2 D} is added as without preferences. DPO and IPO need the teacher's
 * probability of each label, as {@link TokenWeight#needsTeacher} describes; SimPO works without a teacher at coefficient
 * 0. Where only a score is asked for, labels without a teacher give the cross-entropy. The cross-entropy that's reported is that of all answers, rejected ones too. Sequences must be whole: truncated
 * backpropagation through time would cut them.
 *
 * <p>Refused at the first batch: an odd number of sequences, a sequence without an answer, a rejected answer that's the
 * chosen one, and labels without a teacher where one is needed.
 *
 * @param kind      which loss
 * @param beta      finite and above 0
 * @param parameter label smoothing e of DPO, in [0, 0.5); gamma of SimPO, finite and at least 0; 0 for IPO
 */
@JsonFields
public record Preference(Kind kind, double beta, double parameter) implements Serializable {

    /** Kinds of losses. */
    public enum Kind {
        /** See {@link Preference#dpo(double)}. */
        DPO,
        /** See {@link Preference#ipo}. */
        IPO,
        /** See {@link Preference#simpo}. */
        SIMPO
    }

    /**
     * Checks the numbers.
     *
     * @param kind      which loss
     * @param beta      finite and above 0
     * @param parameter label smoothing, or gamma
     * @throws IllegalArgumentException if a number is outside of its range; the message names it
     */
    @JsonCreator
    public Preference(
            @JsonProperty("kind") Kind kind,
            @JsonProperty("beta") double beta,
            @JsonProperty("parameter") double parameter) {
        this.kind = Objects.requireNonNull(kind, "kind");
        this.beta = beta;
        this.parameter = kind == Kind.IPO ? 0 : parameter;
        require(beta > 0 && Double.isFinite(beta), "beta: expected a finite number above 0, got " + beta);
        require(
                kind != Kind.DPO || parameter >= 0 && parameter < 0.5,
                "labelSmoothing: expected a number of at least 0 and below 0.5, got " + parameter);
        require(
                kind != Kind.SIMPO || parameter >= 0 && Double.isFinite(parameter),
                "gamma: expected a finite number of at least 0, got " + parameter);
    }

    private static void require(boolean condition, String message) {
        if (!condition) {
            throw new IllegalArgumentException(message);
        }
    }

    /**
     * {@return direct preference optimisation}
     *
     * <p>Source: Rafailov et al., Direct Preference Optimization, <a href="https://arxiv.org/abs/2305.18290">arXiv
     * 2305.18290</a>, equation 7.
     *
     * @param beta how near the student stays to its teacher: the smaller, the farther it may go; 0.1 in the paper
     */
    public static Preference dpo(double beta) {
        return dpo(beta, 0);
    }

    /**
     * {@return direct preference optimisation where a share of the pairs may be the wrong way round}
     *
     * <p>Source: Mitchell, A note on DPO with noisy preferences (conservative DPO).
     *
     * @param beta           finite and above 0
     * @param labelSmoothing that share, in [0, 0.5)
     */
    public static Preference dpo(double beta, double labelSmoothing) {
        return new Preference(Kind.DPO, beta, labelSmoothing);
    }

    /**
     * {@return identity preference optimisation, with means over answer tokens as the TRL library has them}
     *
     * <p>Source: Azar et al., A General Theoretical Paradigm to Understand Learning from Human Preferences,
     * <a href="https://arxiv.org/abs/2310.12036">arXiv 2310.12036</a>, equation 17, whose tau is beta; the paper has sums.
     *
     * @param beta finite and above 0
     */
    public static Preference ipo(double beta) {
        return new Preference(Kind.IPO, beta, 0);
    }

    /**
     * {@return simple preference optimisation, which needs no teacher}
     *
     * <p>Source: Meng et al., SimPO, <a href="https://arxiv.org/abs/2405.14734">arXiv 2405.14734</a>, equation 6.
     *
     * @param beta  finite and above 0; 2 to 10 in the paper
     * @param gamma margin, finite and at least 0
     */
    public static Preference simpo(double beta, double gamma) {
        return new Preference(Kind.SIMPO, beta, gamma);
    }

    /** {@return whether it needs the teacher's probability of each label} */
    public boolean needsTeacher() {
        return kind != Kind.SIMPO;
    }

    /** {@return whether log-probabilities are divided by the number of answer tokens} */
    public boolean ofMeans() {
        return kind != Kind.DPO;
    }

    /**
     * {@return the loss of a pair}
     *
     * @param difference of chosen and rejected: {@code l - l0}, or l for SimPO; means for IPO and SimPO
     */
    public double loss(double difference) {
        return switch (kind) {
            case DPO -> (1 - parameter) * softplus(-beta * difference) + parameter * softplus(beta * difference);
            case IPO -> (difference - 1 / (2 * beta)) * (difference - 1 / (2 * beta));
            case SIMPO -> softplus(parameter - beta * difference);
        };
    }

    /**
     * {@return the derivative of {@link #loss}}
     *
     * @param difference as there
     */
    public double derivative(double difference) {
        return switch (kind) {
            case DPO -> beta * (parameter * sigmoid(beta * difference) - (1 - parameter) * sigmoid(-beta * difference));
            case IPO -> 2 * (difference - 1 / (2 * beta));
            case SIMPO -> -beta * sigmoid(parameter - beta * difference);
        };
    }

    /** {@code log(1 + exp x)}. */
    private static double softplus(double x) {
        return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
    }

    private static double sigmoid(double x) {
        return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
    }

    /** The sequences of a minibatch. */
    public interface Sequences {

        /**
         * {@return the weight of a token}
         *
         * @param example its sequence
         * @param time    its place
         */
        double weight(int example, int time);

        /**
         * {@return a token's class id, or its distribution}
         *
         * @param example its sequence
         * @param time    its place
         */
        double[] label(int example, int time);
    }

    /**
     * Checks a minibatch of pairs.
     *
     * @param examples  sequences
     * @param time      their length
     * @param sequences what they hold
     * @throws IllegalArgumentException if they're no pairs, one has no answer, or both have the same
     */
    public static void requirePairs(int examples, int time, Sequences sequences) {
        if (examples % 2 != 0) {
            throw new IllegalArgumentException(
                    "labels: expected pairs of sequences, a chosen one and its rejected one in"
                            + " turn, got a minibatch of " + examples + " sequences");
        }
        double[][][] answers = new double[2][][];
        for (int example = 0; example < examples; example++) {
            int sequence = example;
            double[][] answer = IntStream.range(0, time)
                    .filter(t -> sequences.weight(sequence, t) > 0)
                    .mapToObj(t -> sequences.label(sequence, t))
                    .toArray(double[][]::new);
            if (answer.length == 0) {
                throw new IllegalArgumentException(
                        "labels mask: expected an answer in both sequences of a pair, got none" + " in the "
                                + (example % 2 == 0 ? "chosen" : "rejected") + " one of pair " + example / 2);
            }
            answers[example % 2] = answer;
            if (example % 2 == 1 && Arrays.deepEquals(answers[0], answers[1])) {
                throw new IllegalArgumentException(
                        "labels: expected a rejected answer other than the chosen one, got the same for pair "
                                + example / 2);
            }
        }
    }

    @Override
    public String toString() {
        String name = kind.name().toLowerCase(Locale.ROOT);
        return name + "(" + beta + (kind == Kind.IPO || kind == Kind.DPO && parameter == 0 ? "" : ", " + parameter)
                + ")";
    }

    /** By the kind's name: an enum's own hash code differs from one JVM to the next. */
    @Override
    public int hashCode() {
        return Objects.hash(kind.name(), beta, parameter);
    }
}
