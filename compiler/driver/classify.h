/* Classifying single pictures with a trained model, for predict, run and samples. */
#ifndef CVM_DRIVER_CLASSIFY_H
#define CVM_DRIVER_CLASSIFY_H

#include "compiler/driver/session.h"
#include "runtime/preparation.h"

enum { CVM_MAX_GUESSES = 100, CVM_GUESSES = 5 /* unless --top says otherwise */ };

typedef struct CvmClassifier {
    CvmSession *session;
    CvmInstance *instance;
    CvmPool *pool;
    CvmNormalization normalization;
    CvmPreparation preparation;
    int classes;
    int top; /* how many classes to tell, at most `classes` */
} CvmClassifier;

typedef struct CvmGuess {
    int label;
    float probability;
} CvmGuess;

/* The likeliest classes, likeliest first; equal ones in the order of the labels. */
typedef struct CvmGuesses {
    CvmGuess best[CVM_MAX_GUESSES];
    int count;
} CvmGuesses;

/* With the weights of options->checkpoint and its normalization, or with those of options->weights
 * and the normalization that the predict block states, or the train, or unit, or, where trained is
 * not NULL, with those in the store and that normalization. */
bool cvm_classifier_open(CvmSession *session, const CvmNormalization *trained,
                         CvmClassifier *classifier);

/* pixels: [c, h, w] of the model's input. */
CvmGuesses cvm_classify(const CvmClassifier *classifier, const uint8_t *pixels);

/* Reads, classifies and prints each picture, and those in each folder among the paths. One that
 * can't be read or has the wrong size is reported, and the others go on: false then, and exit code
 * 1. */
bool cvm_classify_files(const CvmClassifier *classifier, const char *const *paths, int count);

/* How pictures from files become the model's input: scaled and cropped as the predict block or the
 * data say, normalized as the block or the train state (whose pictures are read if they must be).
 */
CvmPreparation cvm_session_preparation(const CvmSession *session);
bool cvm_session_stated_normalization(CvmSession *session, CvmNormalization *normalization);

#endif
