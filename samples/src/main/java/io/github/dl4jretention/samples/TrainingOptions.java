package io.github.dl4jretention.samples;

import picocli.CommandLine.Option;

/** The options of a program that say how long and how fast a model is trained. */
final class TrainingOptions {

    @Option(
            names = "--steps",
            converter = Errors.Count.class,
            description = "Steps of a training, each of a minibatch.")
    int steps;

    @Option(names = "--batch", converter = Errors.Count.class, description = "Sequences of a minibatch.")
    int batch;

    @Option(names = "--learning-rate", converter = Errors.AboveZero.class, description = "Adam's learning rate.")
    double learningRate;

    @Option(names = "--seed", description = "Seed of all that's random: batches, new weights, samples of text.")
    long seed;

    /** The defaults of a program. */
    TrainingOptions(int steps, int batch, double learningRate, long seed) {
        this.steps = steps;
        this.batch = batch;
        this.learningRate = learningRate;
        this.seed = seed;
    }
}
