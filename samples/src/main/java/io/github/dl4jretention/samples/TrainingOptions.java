package io.github.dl4jretention.samples;

import picocli.CommandLine.Option;
import picocli.CommandLine.ParseResult;

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

    /** Other defaults, of what a program can do too, for the length, size and rate that its command line doesn't give. */
    void unlessGiven(ParseResult given, int otherSteps, int otherBatch, double otherLearningRate) {
        if (!given.hasMatchedOption("--steps")) {
            steps = otherSteps;
        }
        if (!given.hasMatchedOption("--batch")) {
            batch = otherBatch;
        }
        if (!given.hasMatchedOption("--learning-rate")) {
            learningRate = otherLearningRate;
        }
    }
}
