package io.github.dl4jretention.loss.samediff;

import io.github.dl4jretention.internal.PlaceholderArrays;
import io.github.dl4jretention.internal.WholeNumbers;
import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.loss.Preference;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.loss.TokenWeight;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.shape.Shape;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

/** One minibatch of a SameDiff model, checked before it trains: native operations would broadcast what does not fit. */
public final class SameDiffBatch {

    private final LossDescription loss;
    private final MultiDataSet data;
    private final Map<String, INDArray> arrays = new HashMap<>();
    private final INDArray teacher;
    private final long[] tokens;
    private double[] weights = {};
    private double[] divergenceWeights = {};
    private INDArray @Nullable [][] given;
    private @Nullable PlaceholderArrays fitting;
    private final List<INDArray> made = new ArrayList<>();

    /** @throws IllegalArgumentException if the training configuration does not map the teacher, or a mask */
    public SameDiffBatch(TrainingConfig training, MultiDataSet data, LossDescription loss) {
        this.loss = loss;
        this.data = data;
        put(training.getDataSetFeatureMapping(), data.getFeatures());
        put(training.getDataSetLabelMapping(), data.getLabels());
        requirePlaceholders("features", training.getDataSetFeatureMapping(), data.getFeatures());
        requirePlaceholders("labels", training.getDataSetLabelMapping(), data.getLabels());
        put(training.getDataSetFeatureMaskMapping(), data.getFeaturesMaskArrays());
        put(training.getDataSetLabelMaskMapping(), data.getLabelsMaskArrays());
        requireMapped(training, data.getLabelsMaskArrays());
        INDArray mapped = arrays.get(RetentionLoss.TEACHER_LOGITS);
        if (mapped == null) {
            throw new IllegalArgumentException("labels: expected an array for the placeholder \""
                    + RetentionLoss.TEACHER_LOGITS + "\" in the training configuration's label mapping, got "
                    + training.getDataSetLabelMapping());
        }
        teacher = mapped;
        tokens = Arrays.copyOf(teacher.shape(), teacher.rank() - 1);
    }

    /** M2.1 asks for as many arrays as names in the first batch of an epoch alone; what goes nowhere holds nothing. */
    private static void requirePlaceholders(String what, List<String> names, INDArray[] values) {
        if (values != null && names != null && values.length > names.size()) {
            throw new IllegalArgumentException(what + ": expected a placeholder for each of " + values.length
                    + " arrays, got " + names + " in the training configuration's mapping"
                    + (names.contains(RetentionLoss.TEACHER_LOGITS)
                            ? "; where the last are the divergence's weights, build the student by RetentionLoss.add with"
                                    + " a placeholder for its divergenceWeights, and map it after the teacher's"
                            : ""));
        }
    }

    /** A mask that goes nowhere would leave its tokens in the loss. */
    private static void requireMapped(TrainingConfig training, INDArray[] masks) {
        List<String> names = training.getDataSetLabelMaskMapping();
        for (int i = 0; masks != null && i < masks.length; i++) {
            if (masks[i] != null && (names == null || i >= names.size() || names.get(i) == null)) {
                throw new IllegalArgumentException(
                        "labels mask: expected a placeholder for it in the training configuration's label mask mapping, got "
                                + names + " for a mask of " + shape(masks[i]));
            }
        }
    }

    private void put(List<String> names, INDArray[] values) {
        for (int i = 0; names != null && values != null && i < Math.min(names.size(), values.length); i++) {
            if (names.get(i) != null && values[i] != null) {
                arrays.put(names.get(i), values[i]);
            }
        }
    }

    /**
     * Puts arrays of the placeholders' types in the batch, and a labels mask of ones where a mapped one is missing, until
     * {@link #restore}. DL4J would cast by itself, and close the caller's array.
     */
    public void fit(SameDiff sd) {
        TrainingConfig training = sd.getTrainingConfig();
        given = new INDArray[][] {
            data.getFeatures(), data.getLabels(), data.getFeaturesMaskArrays(), data.getLabelsMaskArrays()
        };
        fitting = new PlaceholderArrays(sd);
        data.setFeatures(fitting(training.getDataSetFeatureMapping(), given[0], false));
        data.setLabels(fitting(training.getDataSetLabelMapping(), given[1], false));
        data.setFeaturesMaskArrays(fitting(training.getDataSetFeatureMaskMapping(), given[2], false));
        data.setLabelsMaskArray(fitting(training.getDataSetLabelMaskMapping(), given[3], true));
    }

    private INDArray @Nullable [] fitting(@Nullable List<String> names, INDArray @Nullable [] values, boolean ones) {
        if (names == null || names.isEmpty() || values == null && !ones) {
            return values;
        }
        INDArray[] result = Arrays.copyOf(values == null ? new INDArray[0] : values, names.size());
        for (int i = 0; i < result.length; i++) {
            String name = names.get(i);
            if (result[i] == null && ones && name != null) {
                result[i] = Nd4j.ones(teacher.dataType(), tokens);
                made.add(result[i]);
            }
            result[i] = name == null || result[i] == null
                    ? result[i]
                    : Objects.requireNonNull(fitting).put(name, result[i]);
        }
        return result;
    }

    /** Gives the batch its own arrays back. */
    public void restore() {
        if (given != null) {
            data.setFeatures(given[0]);
            data.setLabels(given[1]);
            data.setFeaturesMaskArrays(given[2]);
            data.setLabelsMaskArray(given[3]);
            given = null;
            Objects.requireNonNull(fitting).close();
            made.forEach(LabelArrays::release);
            made.clear();
        }
    }

    /** @throws IllegalArgumentException if an array does not have its placeholder's shape; the message gives both */
    public void requireShapes(SameDiff sd) {
        Set<String> own = new HashSet<>(
                Arrays.asList(loss.labels(), loss.weights(), loss.divergenceWeights(), RetentionLoss.TEACHER_LOGITS));
        arrays.forEach((name, array) -> {
            long[] expected = sd.getVariable(name).placeholderShape();
            if (!own.contains(name) && expected != null && !Shape.shapeMatchesPlaceholder(expected, array.shape())) {
                throw new IllegalArgumentException(name + ": expected the placeholder's shape "
                        + Arrays.toString(expected) + ", got " + shape(array));
            }
        });
    }

    /**
     * @param logits the shape of the student's
     * @throws IllegalArgumentException if teacher, labels or weights do not fit; the message names them and gives the
     *     shapes
     */
    public void requireFits(long[] logits) {
        if (!Arrays.equals(logits, teacher.shape())) {
            throw new IllegalArgumentException("teacher: expected values of the shape of the logits \"" + loss.logits()
                    + "\" " + Arrays.toString(logits) + ", got " + Arrays.toString(teacher.shape()));
        }
        TokenWeight tokenWeight = loss.configuration().getTokenWeight();
        if (tokenWeight != null) {
            tokenWeight.requireVocabulary(teacher.size(-1));
        }
        weights = weights(loss.weights());
        double[] own = loss.divergenceWeights() == null ? null : weights(loss.divergenceWeights());
        INDArray labels = arrays.get(loss.labels());
        if (labels != null && labels.length() == weights.length) {
            requireIds(labels);
        } else if (labels != null) {
            requireDistributions(labels);
        }
        divergenceWeights = own == null ? weights : own;
        if (labels != null && loss.configuration().getPreference() != null) {
            requirePairs(labels);
        }
        requireTeacher();
    }

    private void requirePairs(INDArray labels) {
        int examples = (int) teacher.size(0);
        int time = weights.length / examples;
        double[] values = flat(labels);
        int size = values.length / weights.length;
        Preference.requirePairs(examples, time, new Preference.Sequences() {
            @Override
            public double weight(int example, int place) {
                return weights[example * time + place];
            }

            @Override
            public double[] label(int example, int place) {
                int token = example * time + place;
                return Arrays.copyOfRange(values, token * size, (token + 1) * size);
            }
        });
    }

    /** Looks at single tokens only where one of them is wrong, perhaps one that counts nowhere. */
    private void requireTeacher() {
        INDArray rows = rows(teacher);
        double sum = rows.sumNumber().doubleValue();
        double smallestBest = rows.max(1).minNumber().doubleValue();
        if (isDistribution(sum, smallestBest)) {
            return;
        }
        double[] sums = flat(rows.sum(1));
        double[] best = flat(rows.max(1));
        TokenWeight weight = loss.configuration().getTokenWeight();
        Preference preference = loss.configuration().getPreference();
        boolean ofLabels = weight != null && weight.needsTeacher() || preference != null && preference.needsTeacher();
        for (int token = 0; token < sums.length; token++) {
            boolean counts = divergenceWeights[token] > 0 || ofLabels && weights[token] > 0;
            if (counts && !isDistribution(sums[token], best[token])) {
                throw new IllegalArgumentException(
                        "teacher: expected log-probabilities or logits, got NaN, infinity or a token without a possible class in shape "
                                + Arrays.toString(teacher.shape()));
            }
        }
    }

    private static boolean isDistribution(double sum, double best) {
        return !Double.isNaN(sum) && sum != Double.POSITIVE_INFINITY && best != Double.NEGATIVE_INFINITY;
    }

    /** Sum of the divergence's weights of the tokens on which student and teacher hold the same class most probable. */
    public double agreements(INDArray logits) {
        double[] student = flat(Nd4j.argMax(rows(logits), 1));
        double[] best = flat(Nd4j.argMax(rows(teacher), 1));
        double sum = 0;
        for (int i = 0; i < student.length; i++) {
            if (student[i] == best[i]) {
                sum += divergenceWeights[i];
            }
        }
        return sum;
    }

    /** 1 for every token where there is no array of that name. */
    private double[] weights(@Nullable String name) {
        INDArray array = name == null ? null : arrays.get(name);
        if (name == null || array == null) {
            double[] ones = new double[Math.toIntExact(teacher.length() / teacher.size(-1))];
            Arrays.fill(ones, 1);
            return ones;
        }
        requireTokens(array, name);
        double[] values = flat(array);
        for (double weight : values) {
            if (!(weight >= 0) || Double.isInfinite(weight)) {
                throw new IllegalArgumentException(
                        name + ": expected finite weights of at least 0, got " + weight + " in " + shape(array));
            }
        }
        return values;
    }

    /** A token whose distribution is all zero is padding and gets the weight 0. */
    private void requireDistributions(INDArray labels) {
        if (!Arrays.equals(labels.shape(), teacher.shape())) {
            throw new IllegalArgumentException(
                    loss.labels() + ": expected distributions of the shape of the teacher's values "
                            + Arrays.toString(teacher.shape()) + ", got " + shape(labels));
        }
        INDArray rows = rows(labels.dataType().isFPType() ? labels : labels.castTo(DataType.FLOAT));
        double[] sums = flat(rows.norm1(1));
        boolean mayBeNegative = !(rows.minNumber().doubleValue() >= 0);
        for (int token = 0; token < sums.length; token++) {
            if (sums[token] == 0) {
                weights[token] = 0;
            }
            if (weights[token] > 0) {
                double least = mayBeNegative ? rows.getRow(token).minNumber().doubleValue() : 0;
                if (!(least >= 0) || !Double.isFinite(sums[token])) {
                    throw new IllegalArgumentException(
                            loss.labels() + ": expected finite probabilities of at least 0, got "
                                    + (least < 0 ? least : sums[token]) + " in " + shape(labels));
                }
            }
        }
    }

    private void requireIds(INDArray labels) {
        requireTokens(labels, loss.labels());
        long vocabulary = teacher.size(-1);
        double[] ids = flat(labels);
        for (int i = 0; i < ids.length; i++) {
            if (weights[i] > 0) {
                if (!(ids[i] >= 0 && ids[i] < vocabulary) || ids[i] != Math.rint(ids[i])) {
                    throw new IllegalArgumentException(loss.labels() + ": expected whole class ids from 0 to "
                            + (vocabulary - 1) + ", got " + ids[i] + " in " + shape(labels));
                }
                WholeNumbers.requireExact(ids[i], labels.dataType(), vocabulary, loss.labels(), shape(labels));
            }
        }
    }

    private static INDArray rows(INDArray array) {
        return array.reshape('c', array.length() / array.size(-1), array.size(-1));
    }

    private void requireTokens(INDArray array, String name) {
        long[] withOne = Arrays.copyOf(tokens, tokens.length + 1);
        withOne[tokens.length] = 1;
        if (!Arrays.equals(array.shape(), tokens) && !Arrays.equals(array.shape(), withOne)) {
            throw new IllegalArgumentException(name + ": expected a value for every token, shape "
                    + Arrays.toString(tokens) + " for the teacher's " + Arrays.toString(teacher.shape()) + ", got "
                    + shape(array));
        }
    }

    private static double[] flat(INDArray array) {
        return array.dup('c').reshape(array.length()).toDoubleVector();
    }

    private static String shape(INDArray array) {
        return "shape " + Arrays.toString(array.shape());
    }
}
