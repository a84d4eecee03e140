package io.github.dl4jretention.eval;

import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.loss.LabelLayout;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.Arrays;
import java.util.List;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * How well a language model predicts a text, and how far it is from its teacher there: means over unmasked tokens in
 * nats, computed in log space,
 *
 * <pre>
 * crossEntropy = sum of w * -log p(label) / sum of w,   divergence = sum of v * KL(p0 || p) / sum of v
 * </pre>
 *
 * with the weights w of the label mask, 1 where there's none. A token whose one-hot label is all zeros is padding and
 * counts nowhere, mask or not. The weights v are the same, but where sequences have a features mask and no label mask:
 * there the features mask weighs the divergence, as {@link DivergenceMask#LABEL_MASK} does in training.
 *
 * <p>Any iterator will do: a {@code DataSetIterator} or a {@code MultiDataSetIterator}, plain or one that a teacher's
 * iterator wraps, whose labels' teacher values are passed over. Labels have the layout of the model's output
 * ({@code [batch, classes]}, {@code [batch, classes, time]}, or {@code [batch, time, classes]} for NWC networks and
 * SameDiff) as one-hot or other distributions, or are class ids, one for each token. Masks are {@code [batch, time]} of
 * finite weights of at least 0. Iterators that can be reset are reset first.
 *
 * @param crossEntropy mean of {@code -log p(label)}; NaN if no token counts
 * @param divergence   mean of {@code KL(p0 || p)}, p0 being the teacher's distribution; NaN without a teacher
 * @param tokens       sum of the weights
 */
public record TokenEvaluation(double crossEntropy, double divergence, double tokens) {

    /**
     * {@return the evaluation of a network}
     *
     * @param network  ends in softmax cross-entropy; call {@code Retention.detach} on a student first
     * @param teacher  what the divergence is measured from
     * @param iterator the text
     * @throws IllegalArgumentException if the teacher gives samples or values of another shape than the network's, the
     *     network can't be a teacher, or labels, class ids, masks or weights don't fit; labels of tokens of weight 0
     *     aren't looked at
     */
    public static TokenEvaluation of(MultiLayerNetwork network, Teacher teacher, DataSetIterator iterator) {
        return of(network, teacher, new MultiDataSetIteratorAdapter(iterator));
    }

    /**
     * {@return the same as {@link #of(MultiLayerNetwork, Teacher, DataSetIterator)}}
     *
     * @param network  ends in softmax cross-entropy
     * @param teacher  what the divergence is measured from
     * @param iterator the text
     */
    public static TokenEvaluation of(MultiLayerNetwork network, Teacher teacher, MultiDataSetIterator iterator) {
        try (Teacher model = Teacher.of(network)) {
            return of(model, teacher, iterator);
        }
    }

    /**
     * {@return the evaluation of a ComputationGraph of one input and one output}
     *
     * @param graph    its output is softmax cross-entropy; call {@code Retention.detach} on a student first
     * @param teacher  what the divergence is measured from
     * @param iterator the text
     * @throws IllegalArgumentException as for a network
     */
    public static TokenEvaluation of(ComputationGraph graph, Teacher teacher, DataSetIterator iterator) {
        return of(graph, teacher, new MultiDataSetIteratorAdapter(iterator));
    }

    /**
     * {@return the evaluation of those outputs of a ComputationGraph that the teacher teaches, over the tokens of all
     * of them}
     *
     * @param graph    its outputs of the teacher's names are softmax cross-entropy; call {@code Retention.detach} on a
     *     student first
     * @param teacher  what the divergence is measured from
     * @param iterator batches with the labels of all of the graph's outputs
     * @throws IllegalArgumentException as for a network, or if the graph lacks one of the teacher's outputs
     */
    public static TokenEvaluation of(ComputationGraph graph, Teacher teacher, MultiDataSetIterator iterator) {
        String[] names = teacher.outputs().stream().map(TeacherOutput::name).toArray(String[]::new);
        try (Teacher model = Teacher.of(graph, names)) {
            return of(model, teacher, iterator);
        }
    }

    /**
     * {@return the same as {@link #of(Teacher, Teacher, MultiDataSetIterator)}}
     *
     * @param model    asked for log-probabilities as a teacher is
     * @param teacher  of the same outputs
     * @param iterator the text
     */
    public static TokenEvaluation of(Teacher model, Teacher teacher, DataSetIterator iterator) {
        return of(model, teacher, new MultiDataSetIteratorAdapter(iterator));
    }

    /**
     * {@return the evaluation of any model, over the tokens of all its outputs} For SameDiff, student or not, that is
     * {@code TokenEvaluation.of(Teacher.of(sd, "logits", "features"), teacher, iterator)}.
     *
     * @param model    asked for log-probabilities as a teacher is
     * @param teacher  of the same outputs; may be the model itself
     * @param iterator the text
     * @throws IllegalArgumentException as for a network, or if the model gives samples or its outputs aren't the
     *     teacher's
     */
    public static TokenEvaluation of(Teacher model, Teacher teacher, MultiDataSetIterator iterator) {
        return of(model, teacher, iterator, (losses, weights, time) -> {});
    }

    /**
     * {@return the same as {@link #of(Teacher, Teacher, MultiDataSetIterator)}} Tells of every token on the way, for what a
     * mean doesn't say: the losses of single sequences, to resample them (bootstrap), say.
     *
     * @param model    asked for log-probabilities as a teacher is
     * @param teacher  of the same outputs; may be the model itself
     * @param iterator the text
     * @param observer told of the losses
     * @throws IllegalArgumentException as for a network, or if the model gives samples or its outputs aren't the
     *     teacher's
     */
    public static TokenEvaluation of(Teacher model, Teacher teacher, MultiDataSetIterator iterator, Observer observer) {
        requireDistributions(teacher, "teacher");
        requireSameOutputs(model.outputs(), teacher.outputs());
        return new Sums(model, teacher, observer).over(iterator);
    }

    /**
     * {@return the cross-entropy of any model over the tokens of all its outputs; the divergence is NaN}
     *
     * @param model    asked for log-probabilities as a teacher is
     * @param iterator the text
     * @throws IllegalArgumentException if the model gives samples, or labels, class ids, masks or weights don't fit
     */
    public static TokenEvaluation of(Teacher model, MultiDataSetIterator iterator) {
        return over(iterator, model, (losses, weights, time) -> {});
    }

    /** Told of the tokens of each output of each minibatch, in their order. */
    @FunctionalInterface
    public interface Observer {

        /**
         * Told once for each minibatch and output.
         *
         * @param losses  cross-entropies in nats, one sequence after another; of tokens of weight 0 anything
         * @param weights of the tokens
         * @param time    length of a sequence
         */
        void accept(double[] losses, double[] weights, int time);
    }

    static TokenEvaluation over(MultiDataSetIterator iterator, Teacher model, Observer observer) {
        return new Sums(model, null, observer).over(iterator);
    }

    private static void requireDistributions(Teacher teacher, String name) {
        if (teacher.sampledAt().isPresent()) {
            throw new IllegalArgumentException(name + ": expected one that gives whole distributions, got samples");
        }
    }

    /** Names may differ: a text is found by its place among the labels. */
    private static void requireSameOutputs(List<TeacherOutput> model, List<TeacherOutput> teacher) {
        if (!model.stream()
                .map(TeacherOutput::index)
                .toList()
                .equals(teacher.stream().map(TeacherOutput::index).toList())) {
            throw new IllegalArgumentException("teacher: expected the outputs " + model + ", got " + teacher);
        }
    }

    /** {@return {@code exp(crossEntropy)}, at least 1; NaN if no token counts} */
    public double perplexity() {
        return Math.exp(crossEntropy);
    }

    /** The evaluation under way. */
    private static final class Sums {

        private final Teacher model;
        private final @Nullable Teacher teacher;
        private final Observer observer;
        private double crossEntropy;
        private double divergence;
        private double tokens;
        private double divergenceTokens;

        /** @param teacher null for none */
        Sums(Teacher model, @Nullable Teacher teacher, Observer observer) {
            requireDistributions(model, "model");
            this.model = model;
            this.teacher = teacher;
            this.observer = observer;
        }

        TokenEvaluation over(MultiDataSetIterator iterator) {
            if (iterator.resetSupported()) {
                iterator.reset();
            }
            try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
                while (iterator.hasNext()) {
                    add(iterator.next());
                }
            }
            double divergences = teacher == null ? Double.NaN : divergence / divergenceTokens;
            return new TokenEvaluation(crossEntropy / tokens, divergences, tokens);
        }

        private void add(MultiDataSet batch) {
            INDArray[] p = model.logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArrays());
            INDArray[] p0 = teacher == null || teacher == model
                    ? p
                    : teacher.logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArrays());
            for (int i = 0; i < p.length; i++) {
                requireSameShape(p[i], p0[i]);
                add(p[i], p0[i], batch, model.outputs().get(i));
            }
            Arrays.stream(p).forEach(LabelArrays::release);
            if (p0 != p) {
                Arrays.stream(p0).forEach(LabelArrays::release);
            }
        }

        private void add(INDArray p, INDArray p0, MultiDataSet batch, TeacherOutput output) {
            int classAxis = output.classAxis(p.rank());
            INDArray labels = plain(batch.getLabels(output.index()), p, classAxis);
            INDArray[] masks = batch.getLabelsMaskArrays();
            INDArray mask = masks == null ? null : masks[output.index()];
            boolean distributions = Arrays.equals(labels.shape(), p.shape());
            if (!distributions) {
                requireIds(p, labels, classAxis);
                // Ids of another shape than the output's may have a mask like them.
                if (mask != null && Arrays.equals(mask.shape(), labels.shape())) {
                    mask = mask.reshape(Tokens.shape(p, classAxis));
                }
            }
            double[] weights = Tokens.weights(mask, p, classAxis);
            INDArray own = p.rank() == 3 ? DivergenceMask.LABEL_MASK.of(batch, output, p) : null;
            double[] divergenceWeights = own == null ? weights : Tokens.weights(own, p, classAxis);
            Tokens student = new Tokens(p, classAxis);
            Tokens anchor = new Tokens(p0, classAxis);
            Tokens classes = distributions ? new Tokens(labels, classAxis) : null;
            double[] ids = distributions ? new double[0] : Tokens.flat(labels);
            double[] losses = new double[weights.length];
            for (int token = 0; token < weights.length; token++) {
                // A masked label may be anything, NaN included.
                double[] label = classes != null && weights[token] > 0 ? classes.of(token) : null;
                if (!distributions && ids[token] == LabelLayout.PADDING
                        || label != null && Tokens.isPadding(label, label.length)) {
                    weights[token] = 0;
                }
                if (!(weights[token] > 0 || divergenceWeights[token] > 0)) {
                    continue;
                }
                double[] logP = student.of(token);
                if (weights[token] > 0) {
                    losses[token] = label != null
                            ? Tokens.crossEntropy(label, logP)
                            : -logP[Tokens.classId(ids[token], labels.dataType(), logP.length)];
                    crossEntropy += weights[token] * losses[token];
                    tokens += weights[token];
                }
                if (divergenceWeights[token] > 0) {
                    if (p0 != p) {
                        divergence += divergenceWeights[token] * divergence(anchor.of(token), logP, token);
                    }
                    divergenceTokens += divergenceWeights[token];
                }
            }
            observer.accept(losses, weights, p.rank() == 2 ? 1 : (int) (weights.length / p.size(0)));
        }

        /** A model that has diverged is worth no number, but a teacher without numbers is no teacher. */
        private static double divergence(double[] teacher, double[] student, int token) {
            if (Double.isNaN(Arrays.stream(teacher).sum())) {
                throw new IllegalArgumentException("teacher: expected log-probabilities of every token that counts, got"
                        + " NaN for token " + token + "; a cache keeps nothing of what the features mask leaves out, so"
                        + " give such tokens a 0 in the labels mask");
            }
            return Tokens.divergence(teacher, 0, student);
        }

        /** Labels without the teacher's values that an iterator has packed behind them. */
        private static INDArray plain(INDArray labels, INDArray p, int classAxis) {
            if (labels.rank() != p.rank()
                    || LabelLayout.ofPacked(labels, classAxis).isEmpty()) {
                return labels;
            }
            LabelLayout layout = LabelLayout.of(labels, classAxis, (int) p.size(classAxis));
            INDArrayIndex[] part = new INDArrayIndex[labels.rank()];
            Arrays.fill(part, NDArrayIndex.all());
            part[classAxis] = NDArrayIndex.interval(0, layout.labelSize());
            return labels.get(part);
        }

        private static void requireSameShape(INDArray model, INDArray teacher) {
            if (!Arrays.equals(model.shape(), teacher.shape())) {
                throw new IllegalArgumentException("teacher: expected values of shape "
                        + Arrays.toString(model.shape()) + ", as the model has them, got "
                        + Arrays.toString(teacher.shape()));
            }
        }

        private static void requireIds(INDArray predicted, INDArray labels, int classAxis) {
            long count = predicted.length() / predicted.size(classAxis);
            boolean sameBatch = predicted.rank() == 2 || labels.size(0) == predicted.size(0);
            if (labels.length() != count || !sameBatch) {
                throw new IllegalArgumentException("labels: expected shape " + Arrays.toString(predicted.shape())
                        + " of the output, or a class id for each of its " + count + " tokens, got "
                        + Arrays.toString(labels.shape()));
            }
        }
    }
}
