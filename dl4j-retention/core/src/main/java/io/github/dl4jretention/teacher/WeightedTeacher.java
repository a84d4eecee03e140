package io.github.dl4jretention.teacher;

import io.github.dl4jretention.loss.LabelArrays;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** A mixture of teachers' distributions. */
final class WeightedTeacher extends Teacher {

    private final List<Teacher> teachers;
    private final double[] weights;
    private final String sha256;

    WeightedTeacher(List<Teacher> teachers, double[] weights) {
        if (teachers.isEmpty() || teachers.size() != weights.length) {
            throw new IllegalArgumentException("weights: expected one for each of at least one teacher, got "
                    + weights.length + " for " + teachers.size() + " teachers");
        }
        double sum = Arrays.stream(weights).sum();
        if (!(sum > 0) || Double.isInfinite(sum) || Arrays.stream(weights).anyMatch(w -> !(w >= 0))) {
            throw new IllegalArgumentException(
                    "weights: expected finite numbers of at least 0, not all 0, got " + Arrays.toString(weights));
        }
        for (Teacher teacher : teachers) {
            if (!teacher.outputs().equals(teachers.get(0).outputs())) {
                throw new IllegalArgumentException("teachers: expected the same outputs of all, got "
                        + teachers.get(0).outputs() + " and " + teacher.outputs());
            }
            if (teacher.sampledAt().orElse(1) != 1) {
                throw new IllegalArgumentException(
                        "teachers: expected samples of temperature 1, at which distributions are " + "mixed, got "
                                + teacher.sampledAt().getAsDouble());
            }
        }
        this.teachers = List.copyOf(teachers);
        this.weights = Arrays.stream(weights).map(weight -> weight / sum).toArray();
        List<String> parts = new ArrayList<>(List.of("weighted"));
        for (int i = 0; i < weights.length; i++) {
            parts.add(this.weights[i] + " " + teachers.get(i).sha256());
        }
        sha256 = NetworkIdentity.sha256(parts);
    }

    @Override
    public String sha256() {
        return sha256;
    }

    /** Empty where all teachers' are. */
    @Override
    public String encoding() {
        List<String> encodings = teachers.stream().map(Teacher::encoding).toList();
        return encodings.stream().allMatch(String::isEmpty) ? "" : encodings.toString();
    }

    @Override
    public boolean isFrozen() {
        return teachers.stream().allMatch(Teacher::isFrozen);
    }

    @Override
    public List<TeacherOutput> outputs() {
        return teachers.get(0).outputs();
    }

    @Override
    public boolean dependsOnFeaturesOnly() {
        return teachers.stream().allMatch(Teacher::dependsOnFeaturesOnly);
    }

    @Override
    public OptionalDouble sampledAt() {
        boolean sampled =
                teachers.stream().anyMatch(teacher -> teacher.sampledAt().isPresent());
        return sampled ? OptionalDouble.of(1) : OptionalDouble.empty();
    }

    @Override
    public List<MovingAverageTeacher> movingAverages() {
        return teachers.stream()
                .flatMap(teacher -> teacher.movingAverages().stream())
                .distinct()
                .toList();
    }

    @Override
    public boolean givesEveryClass() {
        return teachers.stream().allMatch(Teacher::givesEveryClass);
    }

    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray @Nullable [] featuresMasks) {
        List<INDArray[]> all = new ArrayList<>();
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            for (Teacher teacher : teachers) {
                all.add(teacher.logProbabilities(features, featuresMasks));
            }
            INDArray[] result = new INDArray[outputs().size()];
            for (int i = 0; i < result.length; i++) {
                result[i] = mixture(all, i);
            }
            return result;
        } finally {
            all.forEach(arrays -> Arrays.stream(arrays).forEach(LabelArrays::release));
        }
    }

    private INDArray mixture(List<INDArray[]> all, int output) {
        INDArray[] arrays = all.stream().map(arraysOf -> arraysOf[output]).toArray(INDArray[]::new);
        for (INDArray array : arrays) {
            if (!Arrays.equals(array.shape(), arrays[0].shape())) {
                throw new IllegalArgumentException("teachers: expected outputs of one shape, got "
                        + Arrays.toString(arrays[0].shape()) + " and " + Arrays.toString(array.shape()));
            }
        }
        return LogProbabilities.mixture(arrays, weights);
    }

    @Override
    public void close() {
        RuntimeException first = null;
        for (Teacher teacher : teachers) {
            try {
                teacher.close();
            } catch (RuntimeException e) {
                if (first == null) {
                    first = e;
                } else if (e != first) {
                    first.addSuppressed(e);
                }
            }
        }
        if (first != null) {
            throw first;
        }
    }
}
