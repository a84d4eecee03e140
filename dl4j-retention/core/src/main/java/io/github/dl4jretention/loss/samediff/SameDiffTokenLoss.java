package io.github.dl4jretention.loss.samediff;

import io.github.dl4jretention.loss.Preference;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenWeight;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.controlflow.compat.StopGradient;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The loss of every token as a SameDiff model over rows {@code [tokens, vocabulary]}, in log space throughout.
 * (On rank 3, M2.1's reductions over the last axis with kept dimensions are wrong.)
 *
 * <p>Logits and teacher values outside {@code [-1e9, 1e9]} are held at the bound, so that a class of probability 0
 * ({@code -inf}) gives a finite loss; a logit at the bound gets no gradient.
 */
public final class SameDiffTokenLoss {

    static final double BOUND = 1e9;

    private final SameDiff sd;
    private final RetentionConfiguration configuration;
    private final SDVariable logits;

    public SameDiffTokenLoss(SameDiff sd, RetentionConfiguration configuration, SDVariable logits) {
        this.sd = sd;
        this.configuration = configuration;
        this.logits = bounded(sd, logits);
    }

    /** {@code -sum_v y'(v) log p(v)}, {@code [tokens, 1]}; y' is the target with the configured label smoothing. */
    public SDVariable crossEntropy(SDVariable target) {
        SDVariable logProbabilities = logSoftmax(logits);
        SDVariable crossEntropy = target.mul(logProbabilities).sum(true, 1).neg();
        double smoothing = configuration.getLabelSmoothing();
        if (smoothing == 0) {
            return crossEntropy;
        }
        SDVariable uniform = logProbabilities.mean(true, 1).neg();
        return crossEntropy.mul(1 - smoothing).add(uniform.mul(smoothing));
    }

    /**
     * The {@link TokenWeight} that follows from the student's predictions, {@code [tokens, 1]}; null where there is none
     * of that kind. It has no gradient.
     */
    public @Nullable SDVariable weightByStudent(SDVariable target) {
        TokenWeight weight = configuration.getTokenWeight();
        if (weight == null || weight.needsTeacher()) {
            return null;
        }
        return weight.kind() == TokenWeight.Kind.EAFT
                ? entropy((int) weight.parameter())
                : sd.math.exp(stopped(ofLabels(target, logSoftmax(logits))).div(weight.parameter()));
    }

    /**
     * The {@link TokenWeight} that follows from the teacher's, {@code [tokens, 1]}.
     *
     * @param weight   that needs the teacher
     * @param target   {@code [tokens, V]}
     * @param teacher  logits or log-probabilities {@code [tokens, V]}
     * @param weights  of the cross-entropy {@code [tokens, 1]}
     * @param examples sequences, a scalar; the tokens of each lie side by side
     */
    public SDVariable weightByTeacher(
            TokenWeight weight, SDVariable target, SDVariable teacher, SDVariable weights, SDVariable examples) {
        SDVariable labels = ofLabels(target, logSoftmax(bounded(sd, teacher)));
        DataType type = labels.dataType();
        if (weight.kind() == TokenWeight.Kind.SELECTIVE) {
            return sd.gte(labels, -Math.log(weight.parameter())).castTo(type);
        }
        SDVariable sequences = sd.stack(0, examples, sd.constant(Nd4j.scalar(DataType.INT64, -1)));
        SDVariable sums = sumOfRows(sd.reshape(labels.mul(weights), sequences));
        SDVariable totals = sumOfRows(sd.reshape(weights, sequences));
        SDVariable means = sums.div(totals.add(sd.eq(totals, 0).castTo(type)));
        SDVariable tokens = sd.onesLike(sd.reshape(labels, sequences));
        return tokens.mul(sd.math.exp(means.div(weight.parameter()))).reshape(-1, 1);
    }

    /** M2.1 can't sum over an axis of size 1, so there are two of each value's columns, one of them zeros. */
    private SDVariable sumOfRows(SDVariable rows) {
        return sd.concat(1, rows, sd.zerosLike(rows)).sum(true, 1);
    }

    /** At most 0: what stands in place of NaN in a label that doesn't count must not become infinite. */
    private SDVariable ofLabels(SDVariable target, SDVariable logProbabilities) {
        return sd.nn.relu(target.mul(logProbabilities).sum(true, 1).neg(), 0).neg();
    }

    /**
     * The losses of pairs, summed over all sequences, of which each has its pair's.
     *
     * @param preference   the loss
     * @param crossEntropy of the labels {@code [tokens, 1]}
     * @param target       {@code [tokens, V]}
     * @param teacher      logits or log-probabilities {@code [tokens, V]}
     * @param weights      of the cross-entropy {@code [tokens, 1]}
     * @param examples     sequences, a scalar, chosen and rejected ones in turn; the tokens of each lie side by side
     */
    public SDVariable ofPairs(
            Preference preference,
            SDVariable crossEntropy,
            SDVariable target,
            SDVariable teacher,
            SDVariable weights,
            SDVariable examples) {
        DataType type = crossEntropy.dataType();
        SDVariable minusOne = sd.constant(Nd4j.scalar(DataType.INT64, -1));
        SDVariable sequences = sd.stack(0, examples, minusOne);
        SDVariable logs = crossEntropy.neg();
        if (preference.needsTeacher()) {
            logs = logs.sub(ofLabels(target, logSoftmax(bounded(sd, teacher))));
        }
        SDVariable sums = sumOfRows(sd.reshape(logs.mul(weights), sequences));
        if (preference.ofMeans()) {
            sums = sums.div(sumOfRows(sd.reshape(weights, sequences)));
        }
        INDArray signs = Nd4j.createFromArray(1.0, -1.0).castTo(type).reshape(1, 2);
        SDVariable difference = sums.reshape(-1, 2).mul(sd.constant(signs)).sum(true, 1);
        double beta = preference.beta();
        double parameter = preference.parameter();
        SDVariable losses =
                switch (preference.kind()) {
                    case DPO -> softplus(difference.mul(-beta))
                            .mul(1 - parameter)
                            .add(softplus(difference.mul(beta)).mul(parameter));
                    case IPO -> difference.sub(1 / (2 * beta)).mul(difference.sub(1 / (2 * beta)));
                    case SIMPO -> softplus(difference.mul(-beta).add(parameter));
                };
        return losses.sum().mul(2);
    }

    /** {@code log(1 + exp x)}. */
    private SDVariable softplus(SDVariable x) {
        return logSumExp(x.mul(0), x);
    }

    /**
     * Of the k likeliest classes, their probabilities made to sum to 1, over its maximum. One class is taken after the
     * other: M2.1's top_k writes beyond its array of indices.
     */
    private SDVariable entropy(int k) {
        SDVariable values = stopped(logits.sub(sd.math.floor(logits.max(true, 1))));
        DataType type = logits.dataType();
        SDVariable classes = sd.range(
                        sd.constant(Nd4j.scalar(DataType.INT64, 0)),
                        sd.sizeAt(logits, 1),
                        sd.constant(Nd4j.scalar(DataType.INT64, 1)),
                        DataType.INT64)
                .reshape(1, -1);
        SDVariable taken = isLargest(values, classes, type);
        for (int i = 1; i < k; i++) {
            SDVariable others = values.sub(taken.mul(4 * BOUND));
            taken = sd.math.max(taken, isLargest(others, classes, type));
        }
        SDVariable exponentials = sd.math.exp(values).mul(taken);
        SDVariable sum = exponentials.sum(true, 1);
        SDVariable mean = exponentials.mul(values).sum(true, 1).div(sum);
        return sd.math.log(sum).sub(mean).div(Math.log(k));
    }

    private SDVariable isLargest(SDVariable values, SDVariable classes, DataType type) {
        return sd.eq(sd.argmax(values, true, 1).castTo(DataType.INT64), classes).castTo(type);
    }

    /** The same numbers without a gradient. */
    private SDVariable stopped(SDVariable values) {
        return new StopGradient(sd, values).outputVariable();
    }

    /**
     * The divergence without lambda and {@code T^2}, {@code [tokens, 1]}.
     *
     * @param teacher the teacher's logits or log-probabilities: a constant added to a token's changes nothing
     */
    public SDVariable divergence(SDVariable teacher) {
        SDVariable student = logSoftmax(atTemperature(logits));
        SDVariable anchor = logSoftmax(atTemperature(bounded(sd, teacher)));
        return switch (configuration.getDivergence()) {
            case FORWARD_KL -> kullbackLeibler(anchor, student);
            case REVERSE_KL -> kullbackLeibler(student, anchor);
            case JENSEN_SHANNON -> {
                double beta = configuration.getBeta();
                SDVariable mixture = logSumExp(anchor.add(Math.log(beta)), student.add(Math.log1p(-beta)));
                yield kullbackLeibler(anchor, mixture)
                        .mul(beta)
                        .add(kullbackLeibler(student, mixture).mul(1 - beta));
            }
        };
    }

    private SDVariable atTemperature(SDVariable values) {
        double temperature = configuration.getTemperature();
        return temperature == 1 ? values : values.div(temperature);
    }

    /** {@code KL(p || q)} of log-probabilities, for each token. */
    private SDVariable kullbackLeibler(SDVariable p, SDVariable q) {
        return sd.math.exp(p).mul(p.sub(q)).sum(true, 1);
    }

    /** {@code log(exp a + exp b)}; the larger of the two cancels in the gradient, ties included. */
    private SDVariable logSumExp(SDVariable a, SDVariable b) {
        SDVariable larger = a.add(sd.nn.relu(b.sub(a), 0));
        return larger.add(sd.math.log(sd.math.exp(a.sub(larger)).add(sd.math.exp(b.sub(larger)))));
    }

    /**
     * The values with the lower bound in place of NaN, which gets no gradient. (M2.1's replaceWhere has none in a SameDiff
     * that was loaded.)
     */
    static SDVariable numbers(SameDiff sd, SDVariable values) {
        return sd.math.max(values, sd.constant(Nd4j.scalar(values.dataType(), -BOUND)));
    }

    static SDVariable bounded(SameDiff sd, SDVariable values) {
        return sd.math.clipByValue(values, -BOUND, BOUND);
    }

    /**
     * M2.1's own logSoftmax gives -inf where logits are 100 apart. The shift has no gradient thanks to floor: that of
     * the maximum would be a sum of V numbers which is 0 but for its rounding.
     */
    private SDVariable logSoftmax(SDVariable values) {
        SDVariable shifted = values.sub(sd.math.floor(values.max(true, 1)));
        return shifted.sub(sd.math.log(sd.math.exp(shifted).sum(true, 1)));
    }
}
