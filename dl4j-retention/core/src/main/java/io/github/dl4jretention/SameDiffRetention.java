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
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.listeners.At;
import org.nd4j.autodiff.listeners.BaseListener;
import org.nd4j.autodiff.listeners.Listener;
import org.nd4j.autodiff.listeners.Loss;
import org.nd4j.autodiff.listeners.Operation;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.autodiff.samediff.internal.Variable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;

/** {@link Retention} of SameDiff models. */
final class SameDiffRetention {

    /** The placeholder that attach makes where the model has none for its labels. */
    private static final String LABELS = "labels";

    private static final double LEARNING_RATE = 1e-4;

    private SameDiffRetention() {}

    static SameDiff attach(
            SameDiff pretrained,
            RetentionConfiguration configuration,
            @Nullable String teacher,
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
        String identity = teacher == null ? identity(pretrained, logits, features) : teacher;
        SameDiff student = SameDiffCopy.withTraining(pretrained);
        TrainingConfig training = student.getTrainingConfig();
        student.setTrainingConfig(null);
        LossDescription.Mapping before = training == null ? null : LossDescription.Mapping.of(training);
        Set<String> own = Set.copyOf(student.variableMap().keySet());
        String labels = labels(student, before, logits);
        String weights = weights(student, before);
        RetentionLoss.add(student, logits, labels, weights, null, configuration);
        RetentionLoss.bind(student, identity);
        if (training == null) {
            training = TrainingConfig.builder()
                    .updater(new Adam(LEARNING_RATE))
                    .dataSetFeatureMapping(features)
                    .dataSetLabelMapping(labels)
                    .build();
        }
        LossDescription.of(student)
                .startingAt(new LossDescription.Start(
                        training.getIterationCount(), training.getEpochCount(), own.contains(labels), before))
                .writeTo(student);
        training.setDataSetFeatureMapping(new ArrayList<>(List.of(features)));
        training.setDataSetLabelMapping(new ArrayList<>(List.of(labels, RetentionLoss.TEACHER_LOGITS)));
        student.setTrainingConfig(training);
        student.setListeners(new RetentionListener());
        return student;
    }

    private static String identity(SameDiff pretrained, String logits, String... features) {
        try (Teacher teacher = Teacher.of(pretrained, logits, features)) {
            return teacher.sha256();
        }
    }

    /** The placeholder that masks of the labels were given to. */
    private static @Nullable String weights(SameDiff student, LossDescription.@Nullable Mapping before) {
        List<String> masks = before == null ? null : before.labelsMasks();
        String mask = masks == null || masks.size() != 1 ? null : masks.get(0);
        return mask != null && student.getVariable(mask).getVariableType() == VariableType.PLACEHOLDER ? mask : null;
    }

    /** The labels' placeholder: the one that the model was trained with, one of that name, or a new one. */
    private static String labels(SameDiff student, LossDescription.@Nullable Mapping before, String logits) {
        List<String> mapped = before == null ? null : before.labels();
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
        LossDescription.Start start = description.start();
        LossDescription.Mapping mapping = start == null ? null : start.mapping();
        boolean configured = start == null || mapping != null;
        SameDiff plain = configured ? SameDiffCopy.withTraining(student) : SameDiffCopy.of(student);
        Set<String> gone = added(student, description);
        if (start != null && !start.ownLabels()) {
            gone.add(description.labels());
        }
        List<String> losses =
                new ArrayList<>(description.losses() == null ? student.getLossVariables() : description.losses());
        losses.removeAll(gone);
        plain.setLossVariables(losses.toArray(String[]::new));
        remove(plain, gone);
        TrainingConfig training = plain.getTrainingConfig();
        if (mapping != null && training != null) {
            mapping.applyTo(training);
        } else if (training != null) {
            withoutTeacher(training);
        }
        return plain;
    }

    /** What {@link RetentionLoss#add} brought: all that the loss follows from, up to what was there before. */
    private static Set<String> added(SameDiff student, LossDescription description) {
        Set<String> before = new HashSet<>(Arrays.asList(
                description.logits(), description.labels(), description.weights(), description.divergenceWeights()));
        Deque<String> open = new ArrayDeque<>(
                LossDescription.RESULTS.stream().filter(student::hasVariable).toList());
        Set<String> added = new HashSet<>(open);
        while (!open.isEmpty()) {
            String operation = Objects.requireNonNull(student.getVariables().get(open.remove()))
                    .getOutputOfOp();
            if (operation != null) {
                Objects.requireNonNull(student.getOps().get(operation)).getInputsToOp().stream()
                        .filter(input -> !before.contains(input) && added.add(input))
                        .forEach(open::add);
            }
        }
        added.addAll(List.of(LossDescription.DESCRIPTION, RetentionLoss.TEACHER_SHA256, SameDiffText.PROVENANCE));
        return added;
    }

    /** Of a student that was made by hand: the teacher's values are the only labels that the loss brought. */
    private static void withoutTeacher(TrainingConfig training) {
        List<String> labels = new ArrayList<>(training.getDataSetLabelMapping());
        int teacher = labels.indexOf(RetentionLoss.TEACHER_LOGITS);
        if (teacher >= 0) {
            labels.remove(teacher);
            training.setDataSetLabelMapping(labels);
            List<String> masks = training.getDataSetLabelMaskMapping();
            if (masks != null && masks.size() > teacher) {
                List<String> left = new ArrayList<>(masks);
                left.remove(teacher);
                training.setDataSetLabelMaskMapping(left);
            }
        }
    }

    static SameDiff withUpdater(SameDiff sd, IUpdater updater) {
        TrainingConfig given = sd.getTrainingConfig();
        if (given == null) {
            throw new IllegalArgumentException(
                    "sd: expected a model with a training configuration, it has none; " + "call setTrainingConfig");
        }
        SameDiff copy = SameDiffCopy.of(sd);
        TrainingConfig training = SameDiffCopy.copy(given);
        training.setUpdater(updater.clone());
        training.setIterationCount(0);
        training.setEpochCount(0);
        copy.setTrainingConfig(training);
        if (SameDiffText.read(copy, LossDescription.DESCRIPTION).isPresent()) {
            LossDescription description = LossDescription.of(copy);
            LossDescription.Start start = description.start();
            if (start != null) {
                description
                        .startingAt(new LossDescription.Start(0, 0, start.ownLabels(), start.mapping()))
                        .writeTo(copy);
            }
            copy.setListeners(new RetentionListener());
        }
        return copy;
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
        try (TeacherMultiDataSetIterator taught = new TeacherMultiDataSetIterator(iterator, teacher)) {
            student.fit(taught, epochs);
        } finally {
            RetentionListener.restoreBatch(student);
        }
    }

    static Averaged<SameDiff> finetune(
            SameDiff student, Teacher teacher, MultiDataSetIterator iterator, int epochs, Averaging averaging) {
        List<String> features = student.getTrainingConfig().getDataSetFeatureMapping();
        Averaging.Search<SameDiff> search = averaging.start(
                AveragedModels.ofSameDiff(LossDescription.of(student).logits(), features.toArray(String[]::new)),
                student);
        Listener listener = new BaseListener() {
            @Override
            public boolean isActive(Operation operation) {
                return operation == Operation.TRAINING;
            }

            @Override
            public void iterationDone(SameDiff sd, At at, MultiDataSet dataSet, Loss loss) {
                search.stepDone(student);
            }
        };
        require(
                student,
                student.getListeners().stream().anyMatch(RetentionListener.class::isInstance),
                RetentionListener::new);
        student.addListeners(listener);
        try {
            finetune(student, teacher, iterator, epochs);
        } finally {
            List<Listener> others = new ArrayList<>(student.getListeners());
            others.remove(listener);
            student.setListeners(others);
        }
        return search.end(student);
    }

    private static void require(SameDiff student, boolean present, Supplier<Listener> listener) {
        if (!present) {
            student.addListeners(listener.get());
        }
    }
}
