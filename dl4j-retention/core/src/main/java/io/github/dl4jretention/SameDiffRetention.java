package io.github.dl4jretention;

import io.github.dl4jretention.internal.SameDiffCopy;
import io.github.dl4jretention.internal.SameDiffText;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.loss.samediff.LossDescription;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Supplier;
import org.nd4j.autodiff.listeners.Listener;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.autodiff.samediff.internal.Variable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

/** {@link Retention} of SameDiff models. */
final class SameDiffRetention {

    /** The placeholder that attach makes where the model has none for its labels. */
    private static final String LABELS = "labels";

    private static final double LEARNING_RATE = 1e-4;

    private SameDiffRetention() {}

    static SameDiff attach(
            SameDiff pretrained,
            RetentionConfiguration configuration,
            String teacher,
            String logits,
            String... features) {
        Objects.requireNonNull(configuration, "configuration");
        if (SameDiffText.read(pretrained, LossDescription.DESCRIPTION).isPresent()) {
            throw new IllegalArgumentException("pretrained: expected a model without a retention loss, got a student; "
                    + "attach to Retention.detach(student)");
        }
        if (features.length == 0) {
            throw new IllegalArgumentException(
                    "features: expected the names of the placeholders that take a batch's features, in order, got none");
        }
        String identity =
                teacher == null ? Teacher.of(pretrained, logits, features).sha256() : teacher;
        SameDiff student = SameDiffCopy.of(pretrained);
        TrainingConfig given = pretrained.getTrainingConfig();
        String labels = labels(student, given, logits);
        RetentionLoss.add(student, logits, labels, configuration);
        RetentionLoss.bind(student, identity);
        TrainingConfig.Builder training = TrainingConfig.builder()
                .updater(
                        given == null
                                ? new Adam(LEARNING_RATE)
                                : given.getUpdater().clone())
                .dataSetFeatureMapping(features)
                .dataSetLabelMapping(labels, RetentionLoss.TEACHER_LOGITS);
        TrainingConfig config = training.build();
        if (given != null) {
            config.setRegularization(SameDiffCopy.copy(given).getRegularization());
        }
        student.setTrainingConfig(config);
        student.setListeners(new RetentionListener());
        return student;
    }

    /** The labels' placeholder: the one that the model was trained with, one of that name, or a new one. */
    private static String labels(SameDiff student, TrainingConfig given, String logits) {
        List<String> mapped = given == null ? null : given.getDataSetLabelMapping();
        String name = mapped != null && mapped.size() == 1 ? mapped.get(0) : LABELS;
        if (!student.hasVariable(name)) {
            if (!student.hasVariable(logits)) {
                throw new IllegalArgumentException("logits: expected a variable of the model, got \"" + logits
                        + "\"; it has " + student.variableMap().keySet());
            }
            DataType type = student.getVariable(logits).dataType();
            student.placeHolder(name, type == DataType.FLOAT16 ? DataType.FLOAT : type);
        } else if (student.getVariable(name).getVariableType() != VariableType.PLACEHOLDER) {
            throw new IllegalArgumentException("labels: expected a placeholder \"" + name + "\", got the "
                    + student.getVariable(name).getVariableType() + " of that name; rename it");
        }
        return name;
    }

    static SameDiff detach(SameDiff student) {
        LossDescription description = LossDescription.of(student);
        if (description.added() == null) {
            throw new IllegalArgumentException("student: expected one made by this version, got an older one, which "
                    + "doesn't know what came with its loss; load the pretrained model and copy the student's variables "
                    + "into it");
        }
        SameDiff plain = SameDiffCopy.of(student);
        Set<String> gone = new HashSet<>(description.added());
        gone.add(LossDescription.DESCRIPTION);
        gone.add(RetentionLoss.TEACHER_SHA256);
        plain.setLossVariables(description.losses().toArray(String[]::new));
        remove(plain, gone);
        TrainingConfig given = student.getTrainingConfig();
        if (given != null) {
            TrainingConfig config = SameDiffCopy.copy(given);
            config.setDataSetLabelMapping(new ArrayList<>(List.of(description.labels())));
            plain.setTrainingConfig(config);
        }
        return plain;
    }

    /** DL4J M2.1 has no call that takes an operation out again; what's left must not name those that are gone. */
    private static void remove(SameDiff sd, Set<String> variables) {
        Set<String> operations = new HashSet<>();
        for (String name : variables) {
            Variable variable = sd.getVariables().remove(name);
            if (variable != null && variable.getOutputOfOp() != null) {
                operations.add(variable.getOutputOfOp());
            }
        }
        sd.getOps().keySet().removeAll(operations);
        for (Variable variable : sd.getVariables().values()) {
            if (variable.getInputsForOp() != null) {
                List<String> left = new ArrayList<>(variable.getInputsForOp());
                left.removeAll(operations);
                variable.setInputsForOp(left);
            }
        }
    }

    static void finetune(SameDiff student, Teacher teacher, MultiDataSetIterator iterator, int epochs) {
        LossDescription.of(student);
        String expected =
                SameDiffText.read(student, RetentionLoss.TEACHER_SHA256).orElse("");
        if (!expected.isEmpty() && !expected.equals(teacher.sha256())) {
            throw new IllegalStateException("teacher: this student belongs to teacher " + expected
                    + " (SHA-256), got teacher " + teacher.sha256());
        }
        List<Listener> present = student.getListeners();
        require(student, present.stream().anyMatch(RetentionListener.class::isInstance), RetentionListener::new);
        for (MovingAverageTeacher average : teacher.movingAverages()) {
            require(student, present.contains(average.sameDiffListener()), average::sameDiffListener);
        }
        student.fit(new TeacherMultiDataSetIterator(iterator, teacher).setReleaseLabels(true), epochs);
    }

    private static void require(SameDiff student, boolean present, Supplier<Listener> listener) {
        if (!present) {
            student.addListeners(listener.get());
        }
    }
}
