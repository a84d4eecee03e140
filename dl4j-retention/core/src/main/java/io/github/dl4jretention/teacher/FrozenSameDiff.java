package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.PlaceholderArrays;
import io.github.dl4jretention.internal.SameDiffCopy;
import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.loss.RetentionLabels;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Log-probabilities of a frozen SameDiff model; masks play no part. */
record FrozenSameDiff(SameDiff model, TeacherOutput output, List<String> placeholders)
        implements NetworkTeacher.Network {

    static NetworkTeacher of(SameDiff pretrained, String logits, List<String> placeholders) {
        requireVariable(pretrained, logits, "logits");
        for (String placeholder : placeholders) {
            requireVariable(pretrained, placeholder, "placeholders");
            if (pretrained.getVariable(placeholder).getVariableType() != VariableType.PLACEHOLDER) {
                throw new IllegalArgumentException("placeholders: expected a placeholder, got the "
                        + pretrained.getVariable(placeholder).getVariableType() + " \"" + placeholder + "\"");
            }
        }
        SameDiff frozen = SameDiffCopy.of(pretrained);
        InferenceMode.enter(frozen, logits);
        TeacherOutput output = new TeacherOutput(logits, 0, -1);
        return new NetworkTeacher(
                frozen,
                NetworkIdentity.sha256(frozen, logits),
                List.of(output),
                parameters(frozen),
                new FrozenSameDiff(frozen, output, List.copyOf(placeholders)),
                () -> free(frozen));
    }

    private static void free(SameDiff frozen) {
        for (SDVariable variable : frozen.variables()) {
            if (variable.getVariableType() == VariableType.VARIABLE
                    || variable.getVariableType() == VariableType.CONSTANT) {
                LabelArrays.release(variable.getArr());
            }
        }
    }

    private static void requireVariable(SameDiff model, String name, String argument) {
        if (!model.hasVariable(name)) {
            throw new IllegalArgumentException(argument + ": expected a variable of the model, got \"" + name
                    + "\"; it has " + model.variableMap().keySet());
        }
    }

    @Override
    public INDArray[] logProbabilities(
            INDArray[] features, INDArray @Nullable [] featuresMasks, RetentionLabels... destinations) {
        if (features.length != placeholders.size()) {
            throw new IllegalArgumentException("features: expected one array for each of the placeholders "
                    + placeholders + ", got " + features.length + " of shapes "
                    + Arrays.stream(features)
                            .map(f -> Arrays.toString(f.shape()))
                            .toList());
        }
        try (PlaceholderArrays values = new PlaceholderArrays(model)) {
            for (int i = 0; i < features.length; i++) {
                values.put(placeholders.get(i), features[i]);
            }
            INDArray logits = logits(values.map(), output.name());
            // HALF has too few bits for a sum over a vocabulary.
            boolean half = logits.dataType() == DataType.FLOAT16;
            INDArray wide = half ? logits.castTo(DataType.FLOAT) : logits;
            try {
                return new INDArray[] {LogProbabilities.ofLogits(wide, output.classAxis(logits.rank()))};
            } finally {
                if (half) {
                    wide.close();
                }
                // The session that computed it is gone. What isn't computed, or only passed on, is somebody else's.
                if (model.getVariable(output.name()).getVariableType() == VariableType.ARRAY
                        && isOwn(logits, values.map().values())) {
                    LabelArrays.release(logits);
                }
            }
        }
    }

    /** Whether an array shares no memory with placeholders' arrays, variables or constants. */
    private boolean isOwn(INDArray logits, Collection<INDArray> placeholderArrays) {
        Stream<INDArray> kept = model.variables().stream()
                .filter(variable -> variable.getVariableType() == VariableType.VARIABLE
                        || variable.getVariableType() == VariableType.CONSTANT)
                .map(SDVariable::getArr);
        return Stream.concat(placeholderArrays.stream(), kept)
                .noneMatch(array -> LabelArrays.shareMemory(array, logits));
    }

    /** M2.1 keeps a session for every thread that ever asked, with the arrays that it computed, and logs a new one. */
    private INDArray logits(Map<String, INDArray> placeholders, String name) {
        long thread = Thread.currentThread().getId();
        model.getSessions().put(thread, SameDiff.getInferenceFactory().create(model));
        try {
            return Objects.requireNonNull(model.output(placeholders, name).get(name), name);
        } finally {
            model.getSessions().remove(thread);
        }
    }

    private static Map<String, INDArray> parameters(SameDiff model) {
        Map<String, INDArray> parameters = new TreeMap<>();
        for (SDVariable variable : model.variables()) {
            if (variable.getVariableType() == VariableType.VARIABLE) {
                parameters.put(variable.name(), variable.getArr());
            }
        }
        return parameters;
    }
}
