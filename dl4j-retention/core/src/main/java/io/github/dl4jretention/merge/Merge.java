package io.github.dl4jretention.merge;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SameDiff;

/**
 * Merges models of one architecture into a new one:
 *
 * <pre>{@code
 * MultiLayerNetwork merged = Merge.networks(MergeMethod.wiseFt(0.5)).base(start).model(tuned).merge();
 *
 * Merge.files(MergeMethod.ties(), Path.of("merged.zip"))
 *         .base(Path.of("start.zip"))
 *         .model(Path.of("java.zip"), 1.0, 0.2)
 *         .model(Path.of("scala.zip"), 1.0, 0.2)
 *         .merge();
 * }</pre>
 *
 * <p>The merged model has the configuration of the base, or of the first model if there's no base. That includes
 * counters and, for a student, its loss, coefficient and teacher. It has no updater state and no provenance. A merged
 * file holds configuration and parameters only, no normalizer and no other entry. The given models aren't changed.
 *
 * <p>All parameters are merged. Running statistics of batch normalisation (mean, variance or log of the deviation) are
 * the weighted mean of base and models whatever the method, so that no variance is below 0: {@code sum_i a_i s_i} where
 * a_i are the method's shares, {@code 1 - t} and {@code t} of an interpolation, {@code 1 - sum_i v_i} and {@code v_i =
 * lambda weight_i / divisor} of task vectors, {@code weight_i / divisor} of {@code linear}, those below 0 taken as 0,
 * divided by their sum; the divisor is {@code sum_i weight_i} if the method normalises, else 1. So ExPO keeps those of
 * the model. In a SameDiff model nothing tells running statistics from other variables, so they are merged like all
 * others.
 *
 * <p>Models have the same architecture if the shapes of their parameters, their data types and all settings of their
 * layers, preprocessors and vertices are the same. Settings that only matter in training, such as updater, dropout,
 * loss and initialisation, may differ. A student's retention layer counts as the output layer that it stands in for,
 * and a frozen layer as the layer inside. For SameDiff models, the names, shapes and types of the variables are
 * compared.
 *
 * @param <N> MultiLayerNetwork, ComputationGraph, SameDiff, or Path of a model file
 */
public final class Merge<N> {

    private final MergeMethod method;
    private final ModelAccess<N> access;
    private final List<Ingredient<N>> models = new ArrayList<>();
    private @Nullable N base;

    private record Ingredient<N>(N model, double weight, double density) {}

    Merge(MergeMethod method, ModelAccess<N> access) {
        this.method = Objects.requireNonNull(method, "method");
        this.access = access;
    }

    /**
     * {@return a merge of networks in memory}
     *
     * @param method what becomes of each parameter
     */
    public static Merge<MultiLayerNetwork> networks(MergeMethod method) {
        return new Merge<>(method, NetworkAccess.NETWORKS);
    }

    /**
     * {@return a merge of graphs in memory}
     *
     * @param method what becomes of each parameter
     */
    public static Merge<ComputationGraph> graphs(MergeMethod method) {
        return new Merge<>(method, NetworkAccess.GRAPHS);
    }

    /**
     * {@return a merge of the variables of SameDiff models in memory; constants and all else come from the base or the
     * first model}
     *
     * @param method what becomes of each variable
     */
    public static Merge<SameDiff> sameDiffs(MergeMethod method) {
        return new Merge<>(method, new SameDiffAccess());
    }

    /**
     * {@return a merge of files written by DL4J's {@code ModelSerializer}} It goes parameter by parameter, so that only
     * one parameter of each model is in memory, in double. The same merge writes the same bytes. Files of SameDiff
     * models have another format: load them, and save what {@link #sameDiffs} makes of them.
     *
     * @param method what becomes of each parameter
     * @param out the file to write, complete and at once; replaced if it is there
     */
    public static Merge<Path> files(MergeMethod method, Path out) {
        return new Merge<>(method, new FileAccess(Objects.requireNonNull(out, "out")));
    }

    /**
     * @param base the model that the others started from, for methods that have one
     * @return this merge
     */
    public Merge<N> base(N base) {
        this.base = Objects.requireNonNull(base, "base");
        return this;
    }

    /**
     * Adds a model of weight 1 and density 1.
     *
     * @param model a model beside the base
     * @return this merge
     */
    public Merge<N> model(N model) {
        return model(model, 1, 1);
    }

    /**
     * Adds a model of density 1.
     *
     * @param model  a model beside the base
     * @param weight its share, as the method takes it; any finite number
     * @return this merge
     */
    public Merge<N> model(N model, double weight) {
        return model(model, weight, 1);
    }

    /**
     * Adds a model.
     *
     * @param model   a model beside the base
     * @param weight  its share, as the method takes it; any finite number; interpolations have none and want 1
     * @param density share of its task vector's values that sparsifying methods keep, in (0, 1]
     * @return this merge
     * @throws IllegalArgumentException if a number is outside of its range
     */
    public Merge<N> model(N model, double weight, double density) {
        if (!Double.isFinite(weight)) {
            throw new IllegalArgumentException("weight: expected a finite number, got " + weight);
        }
        if (!(density > 0 && density <= 1)) {
            throw new IllegalArgumentException("density: expected a number in (0, 1], got " + density);
        }
        models.add(new Ingredient<>(Objects.requireNonNull(model, "model"), weight, density));
        return this;
    }

    /**
     * @param all models of weight 1 and density 1, added in their order
     * @return this merge
     */
    public Merge<N> models(Iterable<? extends N> all) {
        all.forEach(this::model);
        return this;
    }

    /**
     * Merges.
     *
     * @return a new model, the caller's; for files the path of what was written
     * @throws IllegalArgumentException if the models are not of one architecture, or the method takes more or fewer, or
     *     other weights or densities, or a parameter is not finite; the message says which
     * @throws UncheckedIOException if a file cannot be read or written, or is damaged by its CRC-32; the message names
     *     it
     */
    public N merge() {
        requireCounts();
        try (OpenSources sources = new OpenSources()) {
            if (base != null) {
                sources.add(access.open(base), access.describe(base, "base"));
            }
            for (int i = 0; i < models.size(); i++) {
                N model = models.get(i).model();
                sources.add(access.open(model), access.describe(model, "model " + i));
            }
            try (ParameterSink<N> sink =
                    access.create(base == null ? models.get(0).model() : base)) {
                int count = sources.architecture().parameters().size();
                for (int parameter = 0; parameter < count; parameter++) {
                    sink.write(merge(sources, parameter));
                }
                sources.requireFinite();
                // The file to write may be one of those that are read.
                sources.close();
                return sink.finish();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e.getMessage(), e);
        }
    }

    private double[] merge(OpenSources sources, int index) throws IOException {
        ModelArchitecture.Parameter parameter =
                sources.architecture().parameters().get(index);
        double[] baseValues = base == null ? new double[0] : sources.next(0, parameter);
        List<MergeMethod.Weighted> weighted = new ArrayList<>();
        for (Ingredient<N> model : models) {
            double[] values = sources.next(weighted.size() + (base == null ? 0 : 1), parameter);
            weighted.add(new MergeMethod.Weighted(values, model.weight(), model.density()));
        }
        return parameter.runningStatistic()
                ? RunningStatistics.merge(method, baseValues, weighted)
                : method.merge(baseValues, weighted, index);
    }

    private void requireCounts() {
        if (method.hasBase() != (base != null)) {
            throw new IllegalArgumentException("base: expected " + (method.hasBase() ? "one" : "none") + " for "
                    + method + ", got " + (base == null ? "none" : "one"));
        }
        if (models.isEmpty() || models.size() > method.mostModels()) {
            throw new IllegalArgumentException("models: expected "
                    + (method.mostModels() == 1 ? "one beside the base" : "at least one") + " for " + method + ", got "
                    + models.size());
        }
        if (method.mostModels() == 1
                && (models.get(0).weight() != 1 || models.get(0).density() != 1)) {
            throw new IllegalArgumentException("weight and density: expected 1 for " + method + ", got "
                    + models.get(0).weight() + " and " + models.get(0).density());
        }
    }
}
