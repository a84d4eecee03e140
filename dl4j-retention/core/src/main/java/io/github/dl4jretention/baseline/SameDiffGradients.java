package io.github.dl4jretention.baseline;

import io.github.dl4jretention.internal.PlaceholderArrays;
import io.github.dl4jretention.internal.SameDiffCopy;
import io.github.dl4jretention.internal.WholeNumbers;
import io.github.dl4jretention.teacher.InferenceMode;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/** Of a copy of a SameDiff model, with a cross-entropy of its own on the logits. Features masks play no part. */
final class SameDiffGradients implements ExampleGradients {

    private static final String LABELS = "importance_labels";
    private static final String LOSS = "importance_loss";

    private final SameDiff model;
    private final String logits;
    private final List<String> placeholders;
    private final DataType type;
    private List<String> knownShapes = List.of();
    private long[] logitsShape = {};

    SameDiffGradients(SameDiff original, String logits, List<String> placeholders) {
        if (!original.hasVariable(logits)) {
            throw new IllegalArgumentException("logits: expected a variable of the model, got \"" + logits + "\"");
        }
        for (String placeholder : placeholders) {
            if (!original.hasVariable(placeholder)) {
                throw new IllegalArgumentException(
                        "placeholders: expected variables of the model, got \"" + placeholder + "\"");
            }
        }
        model = SameDiffCopy.of(original);
        InferenceMode.enter(model, logits);
        this.logits = logits;
        this.placeholders = List.copyOf(placeholders);
        SDVariable output = model.getVariable(logits);
        type = ParameterArrays.wide(output.dataType());
        SDVariable rows = model.reshape(
                output.dataType() == type ? output : output.castTo(type),
                model.stack(0, model.constant(Nd4j.scalar(DataType.INT64, -1)), model.sizeAt(output, -1)));
        SDVariable labels = model.placeHolder(LABELS, type, -1, -1);
        model.nn().logSoftmax(rows).mul(labels).sum().neg().rename(LOSS);
        model.setLossVariables(LOSS);
    }

    @Override
    public Map<String, INDArray> parameters() {
        return ParameterArrays.of(model);
    }

    @Override
    public INDArray[] probabilities(MultiDataSet example) {
        try (PlaceholderArrays values = features(example)) {
            INDArray output = ParameterArrays.get(model.output(values.map(), logits), logits)
                    .castTo(type);
            INDArray rows = output.dup('c').reshape('c', output.length() / output.size(-1), output.size(-1));
            return new INDArray[] {Transforms.softmax(rows, true).reshape('c', output.shape())};
        }
    }

    @Override
    public int classAxis(int output, int rank) {
        return rank - 1;
    }

    @Override
    public Map<String, INDArray> gradients(MultiDataSet example, @Nullable List<INDArray> labels) {
        INDArray distributions = labels == null ? distributions(example) : labels.get(0);
        long classes = distributions.size(-1);
        INDArray rows = distributions.dup('c').reshape('c', distributions.length() / classes, classes);
        INDArray mask = example.getLabelsMaskArray(0);
        if (mask != null) {
            INDArray weights = mask.dup('c').reshape('c', mask.length(), 1).castTo(rows.dataType());
            for (long row = 0; row < rows.size(0); row++) {
                if (weights.getDouble(row) == 0) {
                    rows.getRow(row).assign(0);
                }
            }
            rows = rows.mulColumnVector(weights);
        }
        Map<String, INDArray> found;
        try (PlaceholderArrays values = features(example)) {
            values.put(LABELS, rows);
            found = model.calculateGradients(values.map(), parameters().keySet());
        }
        // A variable that the logits do not depend on has no gradient.
        Map<String, INDArray> gradients = new HashMap<>();
        parameters().forEach((name, array) -> {
            INDArray gradient = found.get(name);
            gradients.put(name, gradient == null ? array.like() : gradient);
        });
        return gradients;
    }

    private PlaceholderArrays features(MultiDataSet example) {
        if (example.getFeatures().length != placeholders.size()) {
            throw new IllegalArgumentException("features: expected one array for each of the placeholders "
                    + placeholders + ", got " + example.getFeatures().length);
        }
        PlaceholderArrays values = new PlaceholderArrays(model);
        for (int i = 0; i < placeholders.size(); i++) {
            values.put(placeholders.get(i), example.getFeatures(i));
        }
        return values;
    }

    /** Of logits for features of one shape, which takes a forward pass only where the example before was of another. */
    private long[] logitsShape(MultiDataSet example) {
        List<String> shapes = Arrays.stream(example.getFeatures())
                .map(array -> Arrays.toString(array.shape()))
                .toList();
        if (!shapes.equals(knownShapes)) {
            logitsShape = probabilities(example)[0].shape();
            knownShapes = shapes;
        }
        return logitsShape;
    }

    /** Class ids {@code [...]} or {@code [..., 1]} as one-hot labels; others as they are. */
    private INDArray distributions(MultiDataSet example) {
        INDArray labels = example.getLabels(0);
        long[] shape = logitsShape(example);
        if (Arrays.equals(labels.shape(), shape)) {
            return labels.castTo(type);
        }
        long vocabulary = shape[shape.length - 1];
        INDArray oneHot = Nd4j.zeros(type, shape).reshape('c', -1, vocabulary);
        double[] ids = labels.dup('c').reshape(labels.length()).toDoubleVector();
        if (ids.length != oneHot.size(0)) {
            throw new IllegalArgumentException("labels: expected class ids or one-hot labels for logits of shape "
                    + Arrays.toString(shape) + ", got " + Arrays.toString(labels.shape()));
        }
        INDArray mask = example.getLabelsMaskArray(0);
        double[] weights =
                mask == null ? null : mask.dup('c').reshape(mask.length()).toDoubleVector();
        for (int row = 0; row < ids.length; row++) {
            if (weights != null && row < weights.length && weights[row] == 0) {
                continue;
            }
            if (!(ids[row] >= 0 && ids[row] < vocabulary) || ids[row] != Math.rint(ids[row])) {
                throw new IllegalArgumentException(
                        "labels: expected whole class ids from 0 to " + (vocabulary - 1) + ", got " + ids[row]);
            }
            WholeNumbers.requireExact(
                    ids[row], labels.dataType(), vocabulary, "labels", "labels of " + labels.dataType());
            oneHot.putScalar(row, (long) ids[row], 1);
        }
        return oneHot.reshape('c', shape);
    }
}
